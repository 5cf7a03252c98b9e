; Page faults of regions (trapline/region.h): delivered like TRAP, see vectors.asm. The CPU's error
; code lies where struct trapline_fault has RAX.
;
; Most faults are accesses to a page that allows none. They are told from all others by two bits of
; the page's entry: region.c keeps the accessed flag of every present entry and of every page of a
; region set, so that exactly one of "present" and "accessed" is set for these pages alone.
bits 64
default rel

TRAP_MAX_DEPTH equ 8        ; as in trapline/vm.h

PTES equ -0x80000000        ; REGION_PTES, as a displacement
PTES_COUNT equ 1 << 28

PTE_PRESENT equ 1 << 0
PTE_ACCESSED equ 1 << 5
PTE_REGION equ 1 << 9

; enum trap_saving
SAVES_LEAN equ 0
SAVES_GENERAL equ 1
SAVES_ALL equ 2

LOCAL_TRAP_DEPTH equ 168    ; in struct vcpu_local, at GS base

ERROR_PRESENT equ 1 << 0    ; SDM 4.7
ERROR_WRITE equ 1 << 1
ERROR_USER equ 1 << 2
ERROR_FETCH equ 1 << 4
ERROR_KEY equ 1 << 5
ERROR_KNOWN equ ERROR_PRESENT | ERROR_WRITE | ERROR_USER | ERROR_FETCH

; An entry's rights, negated, after ROL by 1 brought its execute-disable bit down to bit 0.
LACKS_EXEC equ 1 << 0
LACKS_PRESENT equ 1 << 1
LACKS_WRITE equ 1 << 2
LACKS_USER equ 1 << 3

KIND_READ equ 1             ; enum trapline_access
KIND_WRITE equ 2
KIND_EXEC equ 4

FXSAVE_SIZE equ 512
XSAVE_HEADER_QWORDS equ 8

REGISTERS_SIZE equ 14 * 8   ; R15 to RBX of struct trapline_fault, and where some are among them
REGISTERS_RDI equ 9 * 8
REGISTERS_RSI equ 10 * 8
ERROR equ REGISTERS_SIZE    ; above them: the error code, in RAX's place
PLACE_SIZE equ 3 * 8        ; kind, physical and address
ADDRESSES_SIZE equ 2 * 8    ; the last two of them

VECTOR_PF equ 14

extern trap_calls, trap_too_deep
extern xsave_size, xsave_mask
extern exception_vectors
extern page_fault_key_denies

section .text

%macro push_registers 0
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
%endmacro

; Below the registers: build the rest of struct trapline_fault and count the depth, or leave by
; iretq when the access is allowed by now, or for the report of an exception. Changes RDI and the
; flags, no other register. The stack is then aligned to 16 bytes.
%macro fault_enter 0
    mov rdi, cr2
    push rdi
    push rdi
    shr rdi, 12
    cmp rdi, PTES_COUNT
    jae not_a_region
    test byte [rdi * 8 + PTES], PTE_PRESENT | PTE_ACCESSED
    jpe %%other
%%forbidden:
    mov edi, [rsp + ADDRESSES_SIZE + ERROR]
    push qword [kinds + rdi * 8]
    push qword [gs:LOCAL_TRAP_DEPTH]
    mov rdi, rsp
    cld
    cmp qword [gs:LOCAL_TRAP_DEPTH], TRAP_MAX_DEPTH
    jae too_deep
    inc qword [gs:LOCAL_TRAP_DEPTH]

[section .text.page_fault_other progbits alloc exec nowrite align=16]
%%other:
    mov [rsp + ADDRESSES_SIZE + REGISTERS_RSI], rsi
    mov rsi, [rdi * 8 + PTES]
    test esi, PTE_REGION
    jz not_a_region_rsi
    mov edi, [rsp + ADDRESSES_SIZE + ERROR]
    test edi, ~ERROR_KNOWN
    jnz %%key
    rol rsi, 1
    xor esi, ~LACKS_EXEC
    test sil, [needs + rdi]
    mov rsi, [rsp + ADDRESSES_SIZE + REGISTERS_RSI]
    jnz %%forbidden
    jmp retry
%%key:
    test edi, ERROR_KEY
    jz not_a_region_rsi
    ; As the others, and the key's rights: PKRU may have changed, too.
    push rax
    push rax
    mov rdi, [rsp + 16]
    mov esi, [rsp + 16 + ADDRESSES_SIZE + ERROR]
    cld
    call page_fault_key_denies
    test al, al
    pop rax
    pop rax
    mov rsi, [rsp + ADDRESSES_SIZE + REGISTERS_RSI]
    jnz %%forbidden
    jmp retry
__SECT__
%endmacro

; The same when all registers are saved: RAX takes the error code's place.
%macro full_enter 0
    push_registers
    fault_enter
    mov [rsp + 8 + PLACE_SIZE + ERROR], rax
%endmacro

%macro full_leave 0
    pop qword [gs:LOCAL_TRAP_DEPTH]
    add rsp, PLACE_SIZE
    pop_registers
    pop rax
    iretq
%endmacro

; For handlers that give all registers back as they found them.
global page_fault_entry_lean
align 16
page_fault_entry_lean:
    sub rsp, REGISTERS_SIZE
    mov [rsp + REGISTERS_RDI], rdi
    fault_enter
    call [trap_calls + SAVES_LEAN * 8]
    pop qword [gs:LOCAL_TRAP_DEPTH]
    mov rdi, [rsp + PLACE_SIZE + REGISTERS_RDI]
    add rsp, PLACE_SIZE + REGISTERS_SIZE + 8
    iretq

; For handlers that use general registers only.
global page_fault_entry_general
align 16
page_fault_entry_general:
    full_enter
    call [trap_calls + SAVES_GENERAL * 8]
    full_leave

; For handlers that may use x87 and SSE, on CPUs without XSAVE.
global page_fault_entry_fxsave
align 16
page_fault_entry_fxsave:
    full_enter
    mov rbx, rsp
    sub rsp, FXSAVE_SIZE
    fxsave64 [rsp]
    call [trap_calls + SAVES_ALL * 8]
    fxrstor64 [rsp]
    mov rsp, rbx
    full_leave

; For handlers that may use any vector register.
global page_fault_entry_xsave
align 16
page_fault_entry_xsave:
    full_enter
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
    call [trap_calls + SAVES_ALL * 8]
    mov eax, [xsave_mask]
    xor edx, edx
    xrstor64 [rsp]
    mov rsp, rbx
    full_leave

too_deep:
    call trap_too_deep
    ud2

; The access is allowed by now: another vCPU raised it, or an old translation was met, which the
; fault has dropped. Only RDI has changed.
retry:
    mov rdi, [rsp + ADDRESSES_SIZE + REGISTERS_RDI]
    add rsp, ADDRESSES_SIZE + REGISTERS_SIZE + 8
    iretq

; An exception like any other: the report gets all registers as they were.
not_a_region_rsi:
    mov rsi, [rsp + ADDRESSES_SIZE + REGISTERS_RSI]
not_a_region:
    mov rdi, [rsp + ADDRESSES_SIZE + REGISTERS_RDI]
    add rsp, ADDRESSES_SIZE + REGISTERS_SIZE
    jmp [exception_vectors + VECTOR_PF * 8]

section .rodata

; By error code: what kind of access it was, and what the entry must not lack to allow it.
align 8
kinds:
%assign i 0
%rep ERROR_KEY << 1
%if i & ERROR_FETCH
    dq KIND_EXEC
%elif i & ERROR_WRITE
    dq KIND_WRITE
%else
    dq KIND_READ
%endif
%assign i i + 1
%endrep

needs:
%assign i 0
%rep ERROR_KNOWN + 1
    db LACKS_PRESENT | (i & ERROR_FETCH) / ERROR_FETCH * LACKS_EXEC | \
        (i & ERROR_WRITE) / ERROR_WRITE * LACKS_WRITE | (i & ERROR_USER) / ERROR_USER * LACKS_USER
%assign i i + 1
%endrep

section .note.GNU-stack noalloc noexec nowrite progbits
