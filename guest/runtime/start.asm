; Entry of every guest, and its stacks.
bits 64
default rel

PAGE_SIZE equ 4096
STACK_SIZE equ 64 * 1024
EXCEPTION_STACK_SIZE equ 16 * 1024

CR0_MP equ 1 << 1
CR0_EM equ 1 << 2
CR0_TS equ 1 << 3
CR0_NE equ 1 << 5
CR0_WP equ 1 << 16
CR4_OSFXSR equ 1 << 9
CR4_OSXMMEXCPT equ 1 << 10

extern runtime_start

section .text.start progbits alloc exec nowrite align=16

; RDI = struct trapline_info; no stack yet. The compiler may use SSE anywhere, so it comes first.
global guest_start
guest_start:
    lea rsp, [stack_top]
    xor ebp, ebp
    mov rax, cr0
    and eax, ~(CR0_EM | CR0_TS)
    or eax, CR0_MP | CR0_NE | CR0_WP
    mov cr0, rax
    mov rax, cr4
    or eax, CR4_OSFXSR | CR4_OSXMMEXCPT
    mov cr4, rax
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
