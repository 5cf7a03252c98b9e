; VM entry and exit: what the VMCS does not switch. See entry.h for the contract.
;
; A VM exit costs 15 pushes, two moves and a call; an entry two moves, one test and 15 pops. RSP runs
; through the context's register file both ways, so the file needs no address register.

bits 64
default rel
section .text

%include "vmx/entry_offsets.inc"

global vmx_run
global vmx_exit_stub
global vmx_exit_stub_guarded
extern vmx_handle_exit
extern vmx_handle_entry_failure

MSR_SPEC_CTRL equ 0x48
MSR_FLUSH_CMD equ 0x10b
FLUSH_CMD_L1D equ 1
RSB_PAIRS     equ 16            ; two entries a round: 32 in all

%macro PUSH_GUEST 0
    push r15
    push r14
    push r13
    push r12
    push r11
    push r10
    push r9
    push r8
    push rdi
    push rsi
    push rbp
    push rbx
    push rdx
    push rcx
    push rax
%endmacro

%macro POP_GUEST 0
    pop rax
    pop rcx
    pop rdx
    pop rbx
    pop rbp
    pop rsi
    pop rdi
    pop r8
    pop r9
    pop r10
    pop r11
    pop r12
    pop r13
    pop r14
    pop r15
%endmacro

; void vmx_run(struct vmx_context *context)
vmx_run:
    mov rax, rdi
    jmp enter

align 16
vmx_exit_stub:
    PUSH_GUEST
    mov rdi, rsp
    mov rsp, [rdi + CONTEXT_HOST_STACK]
    call vmx_handle_exit
enter:                          ; rax = the context to enter
    mov rsp, rax
    cmp dword [rsp + CONTEXT_ENTRY_FLAGS], 0
    jne enter_flagged
    POP_GUEST
    vmresume
    jmp failed

; Something is owed first: a launch, or barriers. The guest's registers come last, so that VERW is the
; last to touch the CPU's buffers but for the entry itself.
enter_flagged:
    test byte [rsp + CONTEXT_ENTRY_FLAGS], CONTEXT_GUEST_SPEC_CTRL
    jz .no_spec_ctrl
    mov ecx, MSR_SPEC_CTRL
    mov eax, [rsp + CONTEXT_SPEC_CTRL_GUEST]
    xor edx, edx
    wrmsr
.no_spec_ctrl:
    test byte [rsp + CONTEXT_ENTRY_FLAGS], CONTEXT_L1D_FLUSH
    jz .no_l1d_flush
    mov ecx, MSR_FLUSH_CMD
    mov eax, FLUSH_CMD_L1D
    xor edx, edx
    wrmsr
.no_l1d_flush:
    POP_GUEST
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

; VMLAUNCH or VMRESUME fell through; the register file is as it was.
failed:
    lea rdi, [rsp - CONTEXT_REGS_SIZE]
    mov rsp, [rdi + CONTEXT_HOST_STACK]
    call vmx_handle_entry_failure
    jmp enter

; The same as vmx_exit_stub with the barriers that exit_flags asks for, before the first indirect branch
; and the first RET.
align 16
vmx_exit_stub_guarded:
    PUSH_GUEST
    mov rbx, rsp
    mov rsp, [rbx + CONTEXT_HOST_STACK]
    test byte [rbx + CONTEXT_EXIT_FLAGS], CONTEXT_RSB_FILL
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
    test byte [rbx + CONTEXT_EXIT_FLAGS], CONTEXT_HOST_SPEC_CTRL
    jz .no_spec_ctrl
    mov ecx, MSR_SPEC_CTRL
    mov eax, [rbx + CONTEXT_SPEC_CTRL_HOST]
    xor edx, edx
    wrmsr
.no_spec_ctrl:
    mov rdi, rbx
    call vmx_handle_exit
    jmp enter

section .note.GNU-stack noalloc noexec nowrite progbits
