; What the IDT's gates point at: the delivery of forbidden accesses, and the exceptions that end the
; guest.
bits 64
default rel

TRAP_MAX_DEPTH equ 8        ; as in trapline/vm.h
KIND_MASK equ 1 << 30 | 7   ; the qualification's read, write, fetch and gone bits
VECTORS equ 32
FIRST_INTERRUPT equ VECTORS
INTERRUPTS equ 256 - VECTORS
PAGE_SHIFT equ 12
RFLAGS_FIXED equ 2
PAGE_MASK equ -4096
RAISED_BITS equ 1024

; struct vcpu_local, at GS base: struct trapline_trap_area first
AREA_BUSY equ 4
AREA_QUALIFICATION equ 8
AREA_LINEAR equ 16
AREA_PHYSICAL equ 24
AREA_RAISED equ 40
LOCAL_TRAP_DEPTH equ 168
LOCAL_RETRY_PAGE equ 176
LOCAL_RETRY_RIP equ 184
LOCAL_RETRIES equ 192
LOCAL_SELF equ 200

HC_TRAP equ 1               ; as in trapline/abi.h

; enum trap_saving
SAVES_LEAN equ 0
SAVES_GENERAL equ 1
SAVES_ALL equ 2

FXSAVE_SIZE equ 512         ; the legacy part; an XSAVE header of 64 bytes follows it
XSAVE_HEADER_QWORDS equ 8

REGISTERS_SIZE equ 15 * 8   ; struct trapline_fault: R15 to RAX, and where RDI is among them
REGISTERS_RDI equ 9 * 8
PLACE_SIZE equ 3 * 8        ; and its kind, physical and address

extern trap_calls, trap_too_deep
extern xsave_size, xsave_mask
extern exception_report, user_exception
extern interrupt_dispatch, interrupt_general

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
    push qword [gs:AREA_LINEAR]
    push qword [gs:AREA_PHYSICAL]
    push qword [gs:AREA_QUALIFICATION]
    and qword [rsp], KIND_MASK
    push qword [gs:LOCAL_TRAP_DEPTH]
    mov dword [gs:AREA_BUSY], 0
    mov rdi, rsp
    cld
    cmp qword [gs:LOCAL_TRAP_DEPTH], TRAP_MAX_DEPTH
    jae too_deep
    inc qword [gs:LOCAL_TRAP_DEPTH]
%endmacro

%macro trap_enter 0
    push_registers
    fault_enter
%endmacro

%macro trap_leave 0
    pop qword [gs:LOCAL_TRAP_DEPTH]
    add rsp, PLACE_SIZE
    pop_registers
    iretq
%endmacro

; Behind the registers' space, in an entry that is filtered (argument 1): an access to a page that
; another vCPU may have allowed meanwhile, so that a translation of old was what forbade it, is tried
; again by way of argument 2, with the area released. Changes RDI and the flags.
%macro filter 2
%if %1
    mov edi, [gs:AREA_PHYSICAL]
    shr edi, PAGE_SHIFT
    and edi, RAISED_BITS - 1
    bt [gs:AREA_RAISED], edi
    jc %%raised
    [section .text.cold]
%%raised:
    call raised_before
    jmp %2
    __?SECT?__
%endif
%endmacro

section .text.cold progbits alloc exec nowrite align=16
section .text

; For handlers that give all registers back as they found them. Argument 1 of this and the following:
; the name's end, argument 2: is it filtered?
%macro lean_entry 2
global trap_entry_lean%1
align 16
trap_entry_lean%1:
    sub rsp, REGISTERS_SIZE
    mov [rsp + REGISTERS_RDI], rdi
    filter %2, .again
    fault_enter
    call [trap_calls + SAVES_LEAN * 8]
    pop qword [gs:LOCAL_TRAP_DEPTH]
    mov rdi, [rsp + PLACE_SIZE + REGISTERS_RDI]
    add rsp, PLACE_SIZE + REGISTERS_SIZE
    iretq
%if %2
.again:
    mov rdi, [rsp + REGISTERS_RDI]
    add rsp, REGISTERS_SIZE
    iretq
%endif
%endmacro

; For handlers that use general registers only.
%macro general_entry 2
global trap_entry_general%1
align 16
trap_entry_general%1:
    push_registers
    filter %2, retry
    fault_enter
    call [trap_calls + SAVES_GENERAL * 8]
    trap_leave
%endmacro

; For handlers that may use x87 and SSE, on CPUs without XSAVE.
%macro fxsave_entry 2
global trap_entry_fxsave%1
align 16
trap_entry_fxsave%1:
    push_registers
    filter %2, retry
    fault_enter
    mov rbx, rsp
    sub rsp, FXSAVE_SIZE
    fxsave64 [rsp]
    call [trap_calls + SAVES_ALL * 8]
    fxrstor64 [rsp]
    mov rsp, rbx
    trap_leave
%endmacro

; Save what XSAVE knows below the stack, with XRSTOR's header zero where XSAVE leaves it alone.
; Changes RAX, RDX and RSP; the area begins at RSP.
%macro save_vectors 0
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
%endmacro

%macro restore_vectors 0
    mov eax, [xsave_mask]
    xor edx, edx
    xrstor64 [rsp]
%endmacro

; For handlers that may use any vector register.
%macro xsave_entry 2
global trap_entry_xsave%1
align 16
trap_entry_xsave%1:
    push_registers
    filter %2, retry
    fault_enter
    mov rbx, rsp
    save_vectors
    call [trap_calls + SAVES_ALL * 8]
    restore_vectors
    mov rsp, rbx
    trap_leave
%endmacro

%macro trap_entries 2
    lean_entry %1, %2
    general_entry %1, %2
    fxsave_entry %1, %2
    xsave_entry %1, %2
%endmacro

%define NO_NAME
    trap_entries NO_NAME, 0
    trap_entries _filtered, 1

; The page of this access was allowed by another vCPU since translations were dropped last, or one
; that has the same bit: it is tried again, since a fault drops the translation that it met. When the
; same comes once more, all translations are dropped by registering the area anew, and the bits with
; them, so that the third time is none of this. The area is released. Above the return address: the
; space of 15 registers, then RIP. Changes RDI and the flags.
global raised_before
raised_before:
    push rax
    mov rax, [gs:AREA_PHYSICAL]
    and rax, PAGE_MASK
    mov rdi, [rsp + 16 + REGISTERS_SIZE]
    mov dword [gs:AREA_BUSY], 0
    inc qword [gs:LOCAL_RETRIES]
    cmp rax, [gs:LOCAL_RETRY_PAGE]
    jne .again
    cmp rdi, [gs:LOCAL_RETRY_RIP]
    jne .again
    mov qword [gs:LOCAL_RETRY_PAGE], -1
    mov rdi, [gs:LOCAL_SELF]
    mov eax, HC_TRAP
    vmcall
    pop rax
    ret
.again:
    mov [gs:LOCAL_RETRY_PAGE], rax
    mov [gs:LOCAL_RETRY_RIP], rdi
    pop rax
    ret

retry:
    pop_registers
    iretq

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

; From ring 3, or from an instruction of ring 0 before SWAPGS or behind the second one, the GS base is
; user mode's, which is 0. Then it is user mode's exception: single-stepping into SYSCALL, say.
MSR_GS_BASE equ 0xc0000101
REGISTERS_CS equ REGISTERS_SIZE + 3 * 8 ; above vector, error code and RIP

exception_common:
    push_registers
    mov ecx, MSR_GS_BASE
    rdmsr
    mov ebx, eax
    or ebx, edx             ; not 0: the GS base is ring 0's
    jnz .own_base
    swapgs
.own_base:
    mov rdi, rsp
    mov rbp, rsp
    and rsp, -16
    push RFLAGS_FIXED       ; neither the direction nor, for SMAP, the alignment-check flag
    popfq
    test byte [rdi + REGISTERS_CS], 3
    jnz .user
    test ebx, ebx
    jz .user
    call exception_report
    ud2
.user:
    call user_exception
    ud2

; Interrupts: a stub for each vector, all of one size.
global interrupt_stubs
align 16
interrupt_stubs:
%assign vector FIRST_INTERRUPT
%rep INTERRUPTS
align 16
    push strict dword vector
    jmp near interrupt_common
%assign vector vector + 1
%endrep

; Handlers of C: what they may change is saved. Vector registers, too, unless the vector is one of
; those whose handler keeps to the general ones.
%macro push_volatile 0
    push rbx
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
%endmacro

%macro pop_volatile 0
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
    pop rbx
%endmacro

INTERRUPT_VECTOR equ 10 * 8 ; above the registers

INTERRUPT_CS equ 2 * 8      ; below them: the vector and RIP

align 16
interrupt_common:
    test byte [rsp + INTERRUPT_CS], 3
    jnz .from_ring_3
.enter:
    push_volatile
    cld
    mov rdi, [rsp + INTERRUPT_VECTOR]
    mov rbx, rsp
    lea rax, [interrupt_general]
    cmp byte [rax + rdi], 0
    jne .call
    cmp qword [xsave_size], 0
    je .fxsave
    save_vectors
    fninit
    ldmxcsr [mxcsr]
    call interrupt_dispatch
    restore_vectors
    jmp .leave
.fxsave:
    sub rsp, FXSAVE_SIZE
    fxsave64 [rsp]
    fninit
    ldmxcsr [mxcsr]
    call interrupt_dispatch
    fxrstor64 [rsp]
    jmp .leave
.call:
    call interrupt_dispatch
.leave:
    mov rsp, rbx
    pop_volatile
    add rsp, 8
    test byte [rsp + INTERRUPT_CS - 8], 3
    jnz .to_ring_3
    iretq

.from_ring_3:
    swapgs
    push RFLAGS_FIXED       ; for SMAP, the alignment-check flag off
    popfq
    jmp .enter
.to_ring_3:
    swapgs
    iretq

section .rodata

; All exceptions masked, round to nearest: ring 3 may have left it otherwise.
align 4
mxcsr:
    dd 0x1f80

global exception_vectors
align 8
exception_vectors:
%assign i 0
%rep VECTORS
    dq vector_%+i
%assign i i + 1
%endrep

section .note.GNU-stack noalloc noexec nowrite progbits
