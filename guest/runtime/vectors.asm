; What the IDT's gates point at: the delivery of forbidden accesses, and the exceptions that end the
; guest.
bits 64
default rel

TRAP_MAX_DEPTH equ 8        ; as in trapline/vm.h
KIND_MASK equ 7             ; the qualification's read, write and fetch bits
VECTORS equ 32

; struct trapline_trap_area
AREA_BUSY equ 4
AREA_QUALIFICATION equ 8
AREA_LINEAR equ 16
AREA_PHYSICAL equ 24

FXSAVE_SIZE equ 512         ; the legacy part; an XSAVE header of 64 bytes follows it
XSAVE_HEADER_QWORDS equ 8

REGISTERS_SIZE equ 15 * 8   ; struct trapline_fault: R15 to RAX, and where RDI is among them
REGISTERS_RDI equ 9 * 8
PLACE_SIZE equ 3 * 8        ; and its kind, physical and address

extern trap_area, trap_depth, trap_call, trap_too_deep
extern xsave_size, xsave_mask
extern exception_report

%macro push_registers 0
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
%endmacro

%macro pop_registers 0
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
%endmacro

; Build the rest of struct trapline_fault below the registers, release the area, and count the depth.
; The stack is then aligned to 16 bytes: the CPU aligned it before its five words, and 15 registers
; and four words follow. Changes RDI and the flags, no other register.
%macro fault_enter 0
    push qword [trap_area + AREA_LINEAR]
    push qword [trap_area + AREA_PHYSICAL]
    push qword [trap_area + AREA_QUALIFICATION]
    and qword [rsp], KIND_MASK
    push qword [trap_depth]
    mov dword [trap_area + AREA_BUSY], 0
    mov rdi, rsp
    cld
    cmp qword [trap_depth], TRAP_MAX_DEPTH
    jae too_deep
    inc qword [trap_depth]
%endmacro

%macro trap_enter 0
    push_registers
    fault_enter
%endmacro

%macro trap_leave 0
    pop qword [trap_depth]
    add rsp, PLACE_SIZE
    pop_registers
    iretq
%endmacro

section .text

; For handlers that give all registers back as they found them.
global trap_entry_lean
align 16
trap_entry_lean:
    sub rsp, REGISTERS_SIZE
    mov [rsp + REGISTERS_RDI], rdi
    fault_enter
    call [trap_call]
    pop qword [trap_depth]
    mov rdi, [rsp + PLACE_SIZE + REGISTERS_RDI]
    add rsp, PLACE_SIZE + REGISTERS_SIZE
    iretq

; For handlers that use general registers only.
global trap_entry_general
align 16
trap_entry_general:
    trap_enter
    call [trap_call]
    trap_leave

; For handlers that may use x87 and SSE, on CPUs without XSAVE.
global trap_entry_fxsave
align 16
trap_entry_fxsave:
    trap_enter
    mov rbx, rsp
    sub rsp, FXSAVE_SIZE
    fxsave64 [rsp]
    call [trap_call]
    fxrstor64 [rsp]
    mov rsp, rbx
    trap_leave

; For handlers that may use any vector register. XSAVE leaves most of its header as it finds it, and
; XRSTOR refuses one that is not zero there.
global trap_entry_xsave
align 16
trap_entry_xsave:
    trap_enter
    mov rbx, rsp
    sub rsp, [xsave_size]
    and rsp, -64
    xor eax, eax
%assign i 0
%rep XSAVE_HEADER_QWORDS
    mov [rsp + FXSAVE_SIZE + i * 8], rax
%assign i i + 1
%endrep
    mov eax, [xsave_mask]
    xor edx, edx
    xsave64 [rsp]
    call [trap_call]
    mov eax, [xsave_mask]
    xor edx, edx
    xrstor64 [rsp]
    mov rsp, rbx
    trap_leave

too_deep:
    call trap_too_deep
    ud2

; The other exceptions: make all frames alike, then report. They run on a stack of their own.
%macro vector_stub 1
align 16
vector_%1:
%if %1 == 8 || (%1 >= 10 && %1 <= 14) || %1 == 17 || %1 == 21 || %1 == 29 || %1 == 30
%else
    push 0
%endif
    push %1
    jmp exception_common
%endmacro

%assign i 0
%rep VECTORS
    vector_stub i
%assign i i + 1
%endrep

exception_common:
    push_registers
    mov rdi, rsp
    mov rbp, rsp
    and rsp, -16
    cld
    call exception_report
    ud2

section .rodata

global exception_vectors
align 8
exception_vectors:
%assign i 0
%rep VECTORS
    dq vector_%+i
%assign i i + 1
%endrep

section .note.GNU-stack noalloc noexec nowrite progbits
