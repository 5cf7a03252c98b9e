; The least that a page fault can be answered with: no check, no C, and nothing saved but what is
; used. The first register lies where the CPU put the error code.
bits 64
default rel

PTES equ -0x80000000        ; REGION_PTES, as a displacement
PAGE_SHIFT equ 12
PTE_SIZE equ 8
PTE_PRESENT equ 1 << 0
ERROR_SIZE equ 8
TOUCH_SIZE equ 3            ; of the access in bench_touch()

global limit_skip, limit_appel1, limit_appel2
extern limit_allowed

section .text

limit_skip:
    add rsp, ERROR_SIZE
    add qword [rsp], TOUCH_SIZE
    iretq

; A page that is allowed needs no INVLPG: no translation of a page that is not present is cached
; (SDM 4.10.2.3).
limit_appel1:
    mov [rsp], rax
    push rcx
    mov rax, cr2
    shr rax, PAGE_SHIFT
    mov rcx, [limit_allowed]
    mov [limit_allowed], rax
    and byte [rcx * PTE_SIZE + PTES], ~PTE_PRESENT & 0xff
    or byte [rax * PTE_SIZE + PTES], PTE_PRESENT
    shl rcx, PAGE_SHIFT
    invlpg [rcx]
    pop rcx
    pop rax
    iretq

limit_appel2:
    mov [rsp], rax
    mov rax, cr2
    shr rax, PAGE_SHIFT
    or byte [rax * PTE_SIZE + PTES], PTE_PRESENT
    pop rax
    iretq
