; VM entry and exit: what the VMCS does not switch. See entry.h for the contract.
;
; Two tiers. The first saves only what C may change, nine registers, and is enough for the exits that
; matter; the other six stay the guest's in the CPU. What it cannot handle goes on in the second, with
; all fifteen in the context. RSP runs through the context's register file both ways, so the pushes and
; pops need no address register.

bits 64
default rel
section .text

%include "vmx/entry_offsets.inc"

global vmx_run
global vmx_exit_stub
global vmx_exit_stub_verw
global vmx_exit_stub_guarded
extern vmx_handle_fast_exit
extern vmx_handle_exit
extern vmx_handle_entry_failure

MSR_SPEC_CTRL equ 0x48
MSR_FLUSH_CMD equ 0x10b
FLUSH_CMD_L1D equ 1
FIELD_PREEMPTION_TIMER equ 0x482e
RSB_PAIRS     equ 16                 ; two entries a round: 32 in all

; The registers that a C function may change (System V ABI 3.2.1), from the top of the file down.
%macro PUSH_VOLATILE 0
    push r11
    push r10
    push r9
    push r8
    push rdi
    push rsi
    push rdx
    push rcx
    push rax
%endmacro

%macro POP_VOLATILE 0
    pop rax
    pop rcx
    pop rdx
    pop rsi
    pop rdi
    pop r8
    pop r9
    pop r10
    pop r11
%endmacro

; The others, to and from the context at %1.
%macro SAVE_PRESERVED 1
    mov [%1 + CONTEXT_RBX], rbx
    mov [%1 + CONTEXT_RBP], rbp
    mov [%1 + CONTEXT_R12], r12
    mov [%1 + CONTEXT_R13], r13
    mov [%1 + CONTEXT_R14], r14
    mov [%1 + CONTEXT_R15], r15
%endmacro

%macro LOAD_PRESERVED 1
    mov rbx, [%1 + CONTEXT_RBX]
    mov rbp, [%1 + CONTEXT_RBP]
    mov r12, [%1 + CONTEXT_R12]
    mov r13, [%1 + CONTEXT_R13]
    mov r14, [%1 + CONTEXT_R14]
    mov r15, [%1 + CONTEXT_R15]
%endmacro

; void vmx_run(struct vmx_context *context)
vmx_run:
    mov rax, rdi
    jmp enter_all

; EXIT_STUB name, flags: for contexts whose entry_flags are flags (nothing, or VERW) in the long run.
%macro EXIT_STUB 2
align 16
%1:
    PUSH_VOLATILE
    lea rdi, [rsp - CONTEXT_RAX]
    mov rsp, [rdi + CONTEXT_HOST_STACK]
    call vmx_handle_fast_exit
    test al, EXIT_SLOW
    jnz slow
    cmp dword [rax + CONTEXT_ENTRY_FLAGS], %2
    jne enter
    lea rsp, [rax + CONTEXT_RAX]
    POP_VOLATILE
%if %2 == CONTEXT_VERW
    verw [rsp - CONTEXT_REGS_SIZE + CONTEXT_VERW_SELECTOR]
%endif
    vmresume
    jmp failed
%endmacro

EXIT_STUB vmx_exit_stub, 0
EXIT_STUB vmx_exit_stub_verw, CONTEXT_VERW

slow:
    lea rdi, [rax - EXIT_SLOW]
    SAVE_PRESERVED rdi
    call vmx_handle_exit
enter_all:                      ; rax = the context to enter
    LOAD_PRESERVED rax

; Whatever is owed first: a launch, barriers, the timer. The guest's registers come last, so that VERW is
; the last to touch the CPU's buffers but for the entry itself.
enter:                          ; rax = the context to enter; its preserved registers are loaded
    mov rsi, rax
    test byte [rsi + CONTEXT_ENTRY_FLAGS], CONTEXT_GUEST_SPEC_CTRL
    jz .no_spec_ctrl
    mov ecx, MSR_SPEC_CTRL
    mov eax, [rsi + CONTEXT_SPEC_CTRL_GUEST]
    xor edx, edx
    wrmsr
.no_spec_ctrl:
    test byte [rsi + CONTEXT_ENTRY_FLAGS], CONTEXT_L1D_FLUSH
    jz .no_l1d_flush
    mov ecx, MSR_FLUSH_CMD
    mov eax, FLUSH_CMD_L1D
    xor edx, edx
    wrmsr
.no_l1d_flush:
    test byte [rsi + CONTEXT_ENTRY_FLAGS], CONTEXT_TIMER
    jz .no_timer
    ; A CPU that does not save the timer's value at exits starts it anew at each entry.
    rdtsc
    shl rdx, 32
    or rdx, rax
    mov rax, [rsi + CONTEXT_TIMER_DEADLINE]
    xor edi, edi
    sub rax, rdx
    cmovs rax, rdi              ; it is past: expire at once
    mov ecx, [rsi + CONTEXT_TIMER_SHIFT]
    shr rax, cl
    mov edx, FIELD_PREEMPTION_TIMER
    vmwrite rdx, rax
.no_timer:
    lea rsp, [rsi + CONTEXT_RAX]
    POP_VOLATILE
    test byte [rsp - CONTEXT_REGS_SIZE + CONTEXT_ENTRY_FLAGS], CONTEXT_VERW
    jz .no_verw
    verw [rsp - CONTEXT_REGS_SIZE + CONTEXT_VERW_SELECTOR]
.no_verw:
    test byte [rsp - CONTEXT_REGS_SIZE + CONTEXT_ENTRY_FLAGS], CONTEXT_LAUNCH
    jnz .launch
    vmresume
    jmp failed
.launch:
    and dword [rsp - CONTEXT_REGS_SIZE + CONTEXT_ENTRY_FLAGS], ~CONTEXT_LAUNCH
    vmlaunch
    or dword [rsp - CONTEXT_REGS_SIZE + CONTEXT_ENTRY_FLAGS], CONTEXT_LAUNCH

; VMLAUNCH or VMRESUME fell through; the CPU holds the guest's registers, the context those that were
; popped.
failed:
    lea rdi, [rsp - CONTEXT_REGS_SIZE]
    SAVE_PRESERVED rdi
    mov rsp, [rdi + CONTEXT_HOST_STACK]
    call vmx_handle_entry_failure
    jmp enter_all

; The same as vmx_exit_stub with the barriers that exit_flags asks for, before the first indirect branch
; and the first RET.
align 16
vmx_exit_stub_guarded:
    PUSH_VOLATILE
    lea rdi, [rsp - CONTEXT_RAX]
    mov rsp, [rdi + CONTEXT_HOST_STACK]
    test byte [rdi + CONTEXT_EXIT_FLAGS], CONTEXT_RSB_FILL
    jz .no_rsb_fill
    mov ecx, RSB_PAIRS
.rsb:
    call .first
.trap_first:                    ; a mispredicted RET stays here
    pause
    lfence
    jmp .trap_first
.first:
    call .second
.trap_second:
    pause
    lfence
    jmp .trap_second
.second:
    add rsp, 16                 ; drop both return addresses
    dec ecx
    jnz .rsb
    lfence
.no_rsb_fill:
    test byte [rdi + CONTEXT_EXIT_FLAGS], CONTEXT_HOST_SPEC_CTRL
    jz .no_spec_ctrl
    mov ecx, MSR_SPEC_CTRL
    mov eax, [rdi + CONTEXT_SPEC_CTRL_HOST]
    xor edx, edx
    wrmsr
.no_spec_ctrl:
    call vmx_handle_fast_exit
    test al, EXIT_SLOW
    jnz slow
    jmp enter

section .note.GNU-stack noalloc noexec nowrite progbits
