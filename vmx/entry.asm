; VM entry and exit: what the VMCS does not switch. See entry.h for the contract.
;
; Three tiers. The shortest leaves all registers in the CPU but RCX, and RAX where it does not hold a
; result, and calls functions that give back what they use; it declines what is not plain. The fast tier
; saves only what C may change, nine registers; the other six stay the guest's in the CPU. What that
; cannot handle goes on in the slow tier, with all fifteen in the context. RSP runs through the context's
; register file both ways, so the pushes and pops need no address register.

bits 64
default rel
section .text

%include "vmx/entry_offsets.inc"

global vmx_run
global vmx_exit_stub
global vmx_exit_stub_verw
global vmx_exit_stub_guarded
extern vmx_leaf_calls
extern vmx_leaf_violation
extern vmx_handle_fast_exit
extern vmx_handle_exit
extern vmx_handle_entry_failure

MSR_SPEC_CTRL equ 0x48
MSR_FLUSH_CMD equ 0x10b
FLUSH_CMD_L1D equ 1
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

; The end of a VM exit on the shortest way; %1 = the flags of the stub, %2 = where the context is.
%macro LEAF_RESUME 2
%if %1 == CONTEXT_VERW
    verw [%2 + CONTEXT_VERW_SELECTOR]
%endif
    mov rcx, [%2 + CONTEXT_RCX]
    vmresume
    jmp leaf_failed
%endmacro

; EXIT_STUB name, flags: for contexts whose entry_flags are flags (nothing, or VERW) in the long run.
%macro EXIT_STUB 2
%define CONTEXT_AT rsp - CONTEXT_REGS_SIZE
align 16
%1:
    mov [CONTEXT_AT + CONTEXT_RCX], rcx
    mov ecx, FIELD_EXIT_REASON
    vmread rcx, rcx
    cmp ecx, REASON_VMCALL
    jne %%no_call
    mov ecx, FIELD_SS_RIGHTS
    vmread rcx, rcx
    test cl, SS_DPL
    jnz %%full
    mov ecx, FIELD_RFLAGS
    vmread rcx, rcx
    test ecx, RFLAGS_IF_TF
    jnz %%flags
%%plain:
    test rax, rax
    jnz %%call
    inc qword [CONTEXT_AT + CONTEXT_NULL_CALLS]
    jz %%null_calls_over
    mov eax, FIELD_INSTRUCTION_LENGTH
    vmread rax, rax
    mov ecx, FIELD_RIP
    vmread rcx, rcx
    add rax, rcx
    mov ecx, FIELD_RIP
    vmwrite rcx, rax
    xor eax, eax
    LEAF_RESUME %2, CONTEXT_AT

; This one was not answered.
%%null_calls_over:
    dec qword [CONTEXT_AT + CONTEXT_NULL_CALLS]
    and qword [CONTEXT_AT + CONTEXT_SHORT_EXITS], 0
    jmp %%full

%%call:
    cmp rax, LEAF_CALLS
    jae %%full
    inc qword [CONTEXT_AT + CONTEXT_SHORT_EXITS]
    jz %%full
    lea rcx, [CONTEXT_AT]
    mov rsp, [rcx + CONTEXT_HOST_STACK]
    call [vmx_leaf_calls + rax * 8]
    test rax, rax
    jnz %%declined
    mov eax, FIELD_INSTRUCTION_LENGTH
    vmread [rcx + CONTEXT_RAX], rax
    mov eax, FIELD_RIP
    vmread rax, rax
    add [rcx + CONTEXT_RAX], rax
    mov eax, FIELD_RIP
    vmwrite rax, [rcx + CONTEXT_RAX]
    xor eax, eax
    LEAF_RESUME %2, rcx

; With interrupts on the call may be in the shadow of STI or MOV SS, which it would end.
%%flags:
    test ecx, RFLAGS_TF
    jnz %%full
    mov ecx, FIELD_INTERRUPTIBILITY
    vmread rcx, rcx
    test cl, INTERRUPTIBILITY_SHADOW
    jz %%plain
    jmp %%full

%%no_call:
    cmp ecx, REASON_EPT_VIOLATION
    jne %%full
    inc qword [CONTEXT_AT + CONTEXT_SHORT_EXITS]
    jz %%full
    lea rcx, [CONTEXT_AT]
    mov rsp, [rcx + CONTEXT_HOST_STACK]
    mov [rcx + CONTEXT_RAX], rax
    call vmx_leaf_violation
    test eax, eax
    mov rax, [rcx + CONTEXT_RAX]
    jnz %%declined
    LEAF_RESUME %2, rcx

%%declined:
    lea rsp, [rcx + CONTEXT_REGS_SIZE]
%%full:
    mov rcx, [CONTEXT_AT + CONTEXT_RCX]
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

; VMRESUME fell through on the shortest way: the CPU holds all of the guest's registers, the VMCS where
; they go. RBX first, to have a register.
leaf_failed:
    push rax
    mov eax, FIELD_HOST_RSP
    vmread rax, rax
    mov [rax - CONTEXT_REGS_SIZE + CONTEXT_RBX], rbx
    mov rbx, rax
    pop rax
    mov rsp, rbx
    mov rbx, [rbx - CONTEXT_REGS_SIZE + CONTEXT_RBX]
    PUSH_VOLATILE
    add rsp, CONTEXT_REGS_SIZE - CONTEXT_RAX

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
