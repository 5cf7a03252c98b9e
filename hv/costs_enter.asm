; Entering the guest of the cost measurement and coming back, and that guest's code: costs_guest.h.
bits 64
default rel

FIELD_HOST_RSP equ 0x6c14
FIELD_HOST_RIP equ 0x6c16

; struct costs_visit
VISIT_RDI equ 0
VISIT_RSI equ 8
VISIT_START equ 16
VISIT_STOP equ 24
VISIT_RAX equ 32

PAGE_BYTES equ 4096

; The clock, after all that comes before and before all that comes after (SDM volume 2, RDTSC); stores
; before it have their effect, too. EDX:EAX.
%macro read_clock 0
    mfence
    lfence
    rdtsc
    lfence
%endmacro

section .text
global costs_enter
; bool costs_enter(struct costs_visit *visit, bool launch). The guest changes neither RBX nor R12.
costs_enter:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    push rdi
    mov ecx, FIELD_HOST_RSP
    vmwrite rcx, rsp
    mov ecx, FIELD_HOST_RIP
    lea rdx, [.exit]
    vmwrite rcx, rdx
    movzx ebp, sil
    mov rsi, [rdi + VISIT_RSI]
    mov rdi, [rdi + VISIT_RDI]
    read_clock
    mov ebx, eax
    mov r12d, edx
    test ebp, ebp
    jnz .launch
    vmresume
    jmp .failed
.launch:
    vmlaunch
.failed:
    pop rdi
    xor eax, eax
    jmp .out
.exit:
    mov r13, rax
    read_clock
    pop rdi
    mov [rdi + VISIT_START], ebx
    mov [rdi + VISIT_START + 4], r12d
    mov [rdi + VISIT_STOP], eax
    mov [rdi + VISIT_STOP + 4], edx
    mov [rdi + VISIT_RAX], r13
    mov eax, 1
.out:
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

; What follows runs in the guest, somewhere else, and without a stack.
global costs_code_begin, costs_code_end
global costs_code_vmcall, costs_code_cpuid, costs_code_write, costs_code_pages
costs_code_begin:
costs_code_vmcall:
    vmcall
costs_code_cpuid:
    cpuid
costs_code_write:
    mov byte [rdi], 1
    vmcall
costs_code_pages:
    read_clock
    mov r8d, eax
    mov r9d, edx
.next:
    mov byte [rdi], 1
    add rdi, PAGE_BYTES
    cmp rdi, rsi
    jne .next
    read_clock
    shl rdx, 32
    or rax, rdx
    shl r9, 32
    or r8, r9
    sub rax, r8
    vmcall
costs_code_end:
