; From a start-up IPI to the hypervisor's code: real mode, protected mode, 64-bit mode.
default rel

CR0_PE equ 1 << 0
CR0_WP equ 1 << 16
CR0_CACHES_ON equ ~(3 << 29)
CR0_PG equ 1 << 31
CR4_PAE equ 1 << 5
MSR_IA32_MISC_ENABLE equ 0x1a0
MISC_ENABLE_XD_DISABLE equ 34 - 32
MSR_IA32_EFER equ 0xc0000080
EFER_LME equ 1 << 8
EFER_NXE equ 1 << 11

CODE32 equ 0x08
DATA equ 0x10
CODE64 equ 0x18

CPUID_FEATURES equ 1
CPUID_TOPOLOGY equ 0x0b
SMP_TICKET_CLAIMED equ 2 << 32
CPU_STACK_TOP equ 8                     ; in struct cpu

extern smp_ticket, smp_cpu, smp_main

global trampoline_begin, trampoline_end, trampoline_gdt, trampoline_gdt_base
global trampoline_code32, trampoline_jump32, trampoline_code64, trampoline_jump64
global trampoline_cr3, trampoline_entry, trampoline_enable_xd

; The offset in the page that this is copied to.
%define AT(label) ((label) - trampoline_begin)

section .rodata
align 16
bits 16
trampoline_begin:
    cli
    cld
    mov ax, cs
    mov ds, ax
    movzx ebx, ax
    shl ebx, 4                          ; EBX = the page's address, from here on
    o32 lgdt [AT(trampoline_gdtr)]
    mov eax, cr0
    and eax, CR0_CACHES_ON
    or eax, CR0_PE
    mov cr0, eax
    db 0x66, 0xea                       ; jmp dword CODE32:trampoline_code32
trampoline_jump32:
    dd 0
    dw CODE32

bits 32
trampoline_code32:
    mov ax, DATA
    mov ds, ax
    mov es, ax
    mov ss, ax
    cmp byte [ebx + AT(trampoline_enable_xd)], 0
    je .paging
    mov ecx, MSR_IA32_MISC_ENABLE
    rdmsr
    btr edx, MISC_ENABLE_XD_DISABLE
    wrmsr
.paging:
    mov eax, CR4_PAE
    mov cr4, eax
    mov eax, [ebx + AT(trampoline_cr3)]
    mov cr3, eax
    mov ecx, MSR_IA32_EFER
    rdmsr
    or eax, EFER_LME | EFER_NXE
    wrmsr
    mov eax, cr0
    or eax, CR0_PG | CR0_WP
    mov cr0, eax
    db 0xea                             ; jmp CODE64:trampoline_code64
trampoline_jump64:
    dd 0
    dw CODE64

bits 64
trampoline_code64:
    mov rax, [rbx + AT(trampoline_entry)]
    jmp rax

align 8
trampoline_entry:
    dq 0
trampoline_gdt:
    dq 0
    dq 0x00cf9b000000ffff               ; 32-bit code, accessed
    dq 0x00cf93000000ffff               ; data, accessed
    dq 0x00af9b000000ffff               ; 64-bit code, accessed
trampoline_gdtr:
    dw trampoline_gdtr - trampoline_gdt - 1
trampoline_gdt_base:
    dd 0
trampoline_cr3:
    dd 0
trampoline_enable_xd:
    db 0
trampoline_end:

; In the hypervisor's own text, on the started CPU, without a stack as yet.
section .text
global smp_entry
smp_entry:
    xor eax, eax
    cpuid
    cmp eax, CPUID_TOPOLOGY
    jb .short_id
    mov eax, CPUID_TOPOLOGY
    xor ecx, ecx
    cpuid
    test ebx, ebx                       ; 0 = the leaf says nothing
    jz .short_id
    mov eax, edx
    jmp .take_ticket
.short_id:
    mov eax, CPUID_FEATURES
    cpuid
    shr ebx, 24
    mov eax, ebx
.take_ticket:
    mov rdx, SMP_TICKET_CLAIMED
    lock cmpxchg [smp_ticket], rdx
    jne .too_late
    mov rdi, [smp_cpu]
    mov rsp, [rdi + CPU_STACK_TOP]
    xor ebp, ebp
    call smp_main
.too_late:
    cli
    hlt
    jmp .too_late
