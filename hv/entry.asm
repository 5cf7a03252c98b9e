; Where the loader jumps to, and the change to another stack.
bits 64
default rel

CR4_CET equ 23
BOOT_STACK_BYTES equ 16384

extern hv_main

; RDI = struct handover, in the direct map. The firmware may have left shadow stacks on: its shadow
; stack is not ours to use.
section .text
global hv_entry
hv_entry:
    cli
    cld
    mov rax, cr4
    btr rax, CR4_CET
    mov cr4, rax
    lea rsp, [boot_stack_top]
    xor ebp, ebp
    call hv_main
    ud2

; void cpu_run_on(void *stack_top, void (*function)(void *), void *argument), does not return
global cpu_run_on
cpu_run_on:
    mov rsp, rdi
    xor ebp, ebp
    mov rdi, rdx
    call rsi
    ud2

; The page below the boot stack stays unmapped.
section .bss align=4096
global boot_stack_guard
boot_stack_guard:
    resb 4096
boot_stack:
    resb BOOT_STACK_BYTES
boot_stack_top:
