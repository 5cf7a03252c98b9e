; One stub for each vector, 16 bytes apart: they bring the stack to struct exception_frame.
bits 64
default rel

VECTORS equ 256
STUB_BYTES equ 16

extern exception_entry

section .text
global exception_stubs
align STUB_BYTES
exception_stubs:
%assign vector 0
%rep VECTORS
    align STUB_BYTES
    ; The CPU pushes an error code for #DF, #TS, #NP, #SS, #GP and #PF. It does for #AC and #CP, too, but
    ; neither can come in root mode, at CPL 0 without shadow stacks: there 17 and 21 are interrupts.
    %if !(vector = 8 || (vector >= 10 && vector <= 14))
    push 0
    %endif
    push vector
    jmp near exception_common
    %assign vector vector + 1
%endrep

exception_common:
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    cld
    mov rdi, rsp
    mov rbx, rsp
    and rsp, -16
    call exception_entry
    mov rsp, rbx
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    add rsp, 16
    iretq
