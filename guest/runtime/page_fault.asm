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
PTE_USER equ 1 << 2
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
ERROR_KNOWN equ ERROR_PRESENT | ERROR_WRITE | ERROR_USER | ERROR_FETCH

; An entry's rights, negated, after ROL by 1 brought its execute-disable bit down to bit 0.
LACKS_EXEC equ 1 << 0
LACKS_PRESENT equ 1 << 1
LACKS_WRITE equ 1 << 2

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
RFLAGS_FIXED equ 2
FRAME_RFLAGS equ ERROR + 3 * 8

FAULT_FORBIDDEN equ 1       ; enum page_fault_kind: 0 below it, to be tried again; 2 above it

extern trap_calls, trap_too_deep
extern xsave_size, xsave_mask
extern exception_vectors
extern page_fault_of_user_page
extern spaces_made, space_entry_here

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
; flags, no other register. The stack is then aligned to 16 bytes. Argument 1 here and below: for
; accesses of ring 3, see user.asm; of these, what user mode was not given is no region's.
%macro fault_enter 1
%if %1
    push RFLAGS_FIXED       ; neither the direction nor, for SMAP, the alignment-check flag
    popfq
%endif
    mov rdi, cr2
    push rdi
    push rdi
    shr rdi, 12
    cmp rdi, PTES_COUNT
    jae not_a_region
%if %1
    test byte [rdi * 8 + PTES], PTE_USER
    jz not_a_region
%endif
    test byte [rdi * 8 + PTES], PTE_PRESENT | PTE_ACCESSED
    jpe %%other
%%forbidden:
    mov edi, [rsp + ADDRESSES_SIZE + ERROR]
    push qword [kinds + rdi * 8]
    push qword [gs:LOCAL_TRAP_DEPTH]
    mov rdi, rsp
%if !%1
    cld
%endif
    cmp qword [gs:LOCAL_TRAP_DEPTH], TRAP_MAX_DEPTH
    jae too_deep
    inc qword [gs:LOCAL_TRAP_DEPTH]

[section .text.page_fault_other progbits alloc exec nowrite align=16]
    ; It may be allowed by now: another vCPU raised it, or an old translation was met, which the
    ; fault has dropped. Then it is tried again, with RDI alone to restore.
%%other:
    mov [rsp + ADDRESSES_SIZE + REGISTERS_RSI], rsi
    mov rsi, [rdi * 8 + PTES]
    cmp dword [spaces_made], 0
    jne %%in_space
%%entry:
    test esi, PTE_REGION
    jz not_a_region_rsi
    mov edi, [rsp + ADDRESSES_SIZE + ERROR]
    test esi, PTE_USER
    jnz %%user_page
    test edi, ~ERROR_KNOWN
    jnz not_a_region_rsi
    rol rsi, 1
    xor esi, ~LACKS_EXEC
    test sil, [needs + rdi]
    mov rsi, [rsp + ADDRESSES_SIZE + REGISTERS_RSI]
    jnz %%forbidden
    jmp %%retry
%%in_space:
    ; The array is space 0's; another one may have an entry of its own.
    mov rdi, [rsp]
    push rax
    cld
    call space_entry_here
    mov rsi, rax
    pop rax
    jmp %%entry
%%user_page:
    ; Keys, SMEP and SMAP come in here.
    push rax
    push rdx
    mov rdi, [rsp + 16]
    mov esi, [rsp + 16 + ADDRESSES_SIZE + ERROR]
    mov edx, [rsp + 16 + ADDRESSES_SIZE + FRAME_RFLAGS]
    cld
    call page_fault_of_user_page
    cmp eax, FAULT_FORBIDDEN
    pop rdx
    pop rax
    mov rsi, [rsp + ADDRESSES_SIZE + REGISTERS_RSI]
    je %%forbidden
    ja not_a_region
%%retry:
    mov rdi, [rsp + ADDRESSES_SIZE + REGISTERS_RDI]
    add rsp, ADDRESSES_SIZE + REGISTERS_SIZE + 8
%if %1
    swapgs
%endif
    iretq
__SECT__
%endmacro

; The same when all registers are saved: RAX takes the error code's place.
%macro full_enter 1
%if %1
    swapgs
%endif
    push_registers
    fault_enter %1
    mov [rsp + 8 + PLACE_SIZE + ERROR], rax
%endmacro

%macro full_leave 1
    pop qword [gs:LOCAL_TRAP_DEPTH]
    add rsp, PLACE_SIZE
    pop_registers
    pop rax
%if %1
    swapgs
%endif
    iretq
%endmacro

; For handlers that give all registers back as they found them. The name's end is argument 1 here
; and below, argument 2 tells entries for ring 3.
%macro lean_entry 2
global page_fault_entry_lean%1
align 16
page_fault_entry_lean%1:
%if %2
    swapgs
%endif
    sub rsp, REGISTERS_SIZE
    mov [rsp + REGISTERS_RDI], rdi
    fault_enter %2
    call [trap_calls + SAVES_LEAN * 8]
    pop qword [gs:LOCAL_TRAP_DEPTH]
    mov rdi, [rsp + PLACE_SIZE + REGISTERS_RDI]
    add rsp, PLACE_SIZE + REGISTERS_SIZE + 8
%if %2
    swapgs
%endif
    iretq
%endmacro

; For handlers that use general registers only.
%macro general_entry 2
global page_fault_entry_general%1
align 16
page_fault_entry_general%1:
    full_enter %2
    call [trap_calls + SAVES_GENERAL * 8]
    full_leave %2
%endmacro

; Ring 3 may have left exceptions of its arithmetic unmasked.
%macro own_arithmetic 1
%if %1
    fninit
    ldmxcsr [mxcsr]
%endif
%endmacro

; For handlers that may use x87 and SSE, on CPUs without XSAVE.
%macro fxsave_entry 2
global page_fault_entry_fxsave%1
align 16
page_fault_entry_fxsave%1:
    full_enter %2
    mov rbx, rsp
    sub rsp, FXSAVE_SIZE
    fxsave64 [rsp]
    own_arithmetic %2
    call [trap_calls + SAVES_ALL * 8]
    fxrstor64 [rsp]
    mov rsp, rbx
    full_leave %2
%endmacro

; For handlers that may use any vector register.
%macro xsave_entry 2
global page_fault_entry_xsave%1
align 16
page_fault_entry_xsave%1:
    full_enter %2
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
    own_arithmetic %2
    call [trap_calls + SAVES_ALL * 8]
    mov eax, [xsave_mask]
    xor edx, edx
    xrstor64 [rsp]
    mov rsp, rbx
    full_leave %2
%endmacro

%macro entries 2
    lean_entry %1, %2
    general_entry %1, %2
    fxsave_entry %1, %2
    xsave_entry %1, %2
%endmacro

%define NO_NAME
    entries NO_NAME, 0
    entries _user, 1

too_deep:
    call trap_too_deep
    ud2

; An exception like any other: the report gets all registers as they were.
not_a_region_rsi:
    mov rsi, [rsp + ADDRESSES_SIZE + REGISTERS_RSI]
not_a_region:
    mov rdi, [rsp + ADDRESSES_SIZE + REGISTERS_RDI]
    add rsp, ADDRESSES_SIZE + REGISTERS_SIZE
    jmp [exception_vectors + VECTOR_PF * 8]

section .rodata

align 4
mxcsr:
    dd 0x1f80               ; all exceptions masked, round to nearest

; By error code: what kind of access it was, and what the entry must not lack to allow it.
align 8
kinds:
%assign i 0
%rep 1 << 6
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
        (i & ERROR_WRITE) / ERROR_WRITE * LACKS_WRITE
%assign i i + 1
%endrep

section .note.GNU-stack noalloc noexec nowrite progbits
