; The last step out of the firmware's world.
bits 64
default rel

MSR_EFER equ 0xc0000080
EFER_NXE equ 11
CR4_PGE  equ 7
CR4_CET  equ 23

; void leave(uint64_t handover, uint64_t entry, uint64_t root), does not return
; Firmware's global translations would outlive the change of CR3, and its shadow stack does not
; know ours.
section .text
global leave
leave:
    cli
    cld
    mov r8, rdx
    mov ecx, MSR_EFER
    rdmsr
    bts eax, EFER_NXE
    wrmsr
    mov rax, cr4
    btr rax, CR4_PGE
    btr rax, CR4_CET
    mov cr4, rax
    mov cr3, r8
    jmp rsi
