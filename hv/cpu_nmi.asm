; Opens NMIs again after a VM exit that an NMI caused.
bits 64

SEL_CODE equ 0x08
SEL_DATA equ 0x10

section .text
global cpu_unblock_nmis
; void cpu_unblock_nmis(void): an IRET to the caller is all it takes.
cpu_unblock_nmis:
    pop rax
    mov rcx, rsp
    push SEL_DATA
    push rcx
    pushfq
    push SEL_CODE
    push rax
    iretq
