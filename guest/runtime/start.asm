; Entry of every guest, and its stacks.
bits 64
default rel

PAGE_SIZE equ 4096
STACK_SIZE equ 64 * 1024
EXCEPTION_STACK_SIZE equ 16 * 1024

extern runtime_start

section .text.start progbits alloc exec nowrite align=16

; RDI = struct trapline_info; no stack yet.
global guest_start
guest_start:
    lea rsp, [stack_top]
    xor ebp, ebp
    cld
    call runtime_start
    ud2

; Guard pages are left out of the page tables: see paging.c.
section .bss.stacks nobits alloc noexec write align=4096

global stack_guard, stack_bottom, stack_top
stack_guard:
    resb PAGE_SIZE
stack_bottom:
    resb STACK_SIZE
stack_top:

global exception_stack_guard, exception_stack_bottom, exception_stack_top
exception_stack_guard:
    resb PAGE_SIZE
exception_stack_bottom:
    resb EXCEPTION_STACK_SIZE
exception_stack_top:

section .note.GNU-stack noalloc noexec nowrite progbits
