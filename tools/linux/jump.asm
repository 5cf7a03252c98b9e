; The last step before Linux: the state that its 64-bit boot protocol asks for
; (Documentation/arch/x86/boot.rst). The firmware's page tables map all memory to itself (UEFI
; specification 2.10, 2.3.4), so they stay until the kernel has its own.
bits 64
default rel

BOOT_CS equ 0x10
BOOT_DS equ 0x18

section .data align=16
gdt:
    dq 0
    dq 0
    dq 0x00af9b000000ffff ; BOOT_CS: 64-bit code, execute and read
    dq 0x00cf93000000ffff ; BOOT_DS: data, read and write
gdt_end:
gdt_pointer:
    dw gdt_end - gdt - 1
    dq 0 ; filled in: the loader has no fixed address

; void jump_to_linux(uint64_t params, uint64_t entry), does not return
section .text
global jump_to_linux
jump_to_linux:
    cli
    cld
    mov rdx, rsi
    mov rsi, rdi
    lea rax, [gdt]
    mov [gdt_pointer + 2], rax
    lgdt [gdt_pointer]
    mov eax, BOOT_DS
    mov ds, eax
    mov es, eax
    mov ss, eax
    push BOOT_CS
    push rdx
    o64 retf
