; The calls of trapline/region.h that are inlined for page tables, for the other mechanisms: all
; registers but RAX are kept, so that a TRAP_LEAN handler need not save any for them.
bits 64
default rel

REGION_EPT_PAGES equ 24     ; in struct region

HC_PROT1 equ 2              ; enum trapline_hypercall
HC_UNPROT equ 4
ACCESS_NONE equ 0

extern region_prot1_slow, region_unprot_slow

section .text

; RAX = region, RDX = page, RCX = region_index(): hypercall %1 with RSI = %2 for a page of an EPT
; region, else %3, which keeps all registers as well, with %2 as its third argument. The result is in
; EAX.
%macro region_call 3
    push rdi
    push rsi
    cmp rcx, [rax + REGION_EPT_PAGES]
    jae %%other
    mov rdi, rdx
    mov esi, %2
    mov eax, %1
    vmcall
    pop rsi
    pop rdi
    ret
%%other:
    push rbp
    push rdx
    mov rbp, rsp
    and rsp, -16
    mov rdi, rax
    mov rsi, rdx
    mov edx, %2
    cld
    call %3
    mov rsp, rbp
    pop rdx
    pop rbp
    pop rsi
    pop rdi
    ret
%endmacro

global region_none_other
align 16
region_none_other:
    region_call HC_PROT1, ACCESS_NONE, region_prot1_slow

global region_unprot_other
align 16
region_unprot_other:
    region_call HC_UNPROT, 1, region_unprot_slow

section .note.GNU-stack noalloc noexec nowrite progbits
