; User mode: going there, coming back, and what reaches ring 0 from there.
;
; In ring 0 the GS base is that of struct vcpu_local, in ring 3 it is 0 and cannot become anything
; else: CR4.FSGSBASE is off, and a selector loads the base 0 of the descriptors. Whoever comes from
; ring 3 executes SWAPGS first, and last before going back; in between everything is as in ring 0,
; so that faults nest. Exceptions that have a stack of their own may meet the instruction between:
; they ask the MSR (exception_common in vectors.asm).
bits 64
default rel

; struct vcpu_local
AREA_BUSY equ 4
AREA_QUALIFICATION equ 8
AREA_LINEAR equ 16
AREA_PHYSICAL equ 24
AREA_RAISED equ 40
LOCAL_TRAP_DEPTH equ 168
LOCAL_USER_STACK equ 208
LOCAL_KERNEL_STACK equ 216
LOCAL_TSS_RSP0 equ 224      ; address of tss.rsp[0]

USER_DS equ 0x28 | 3
USER_CS equ 0x30 | 3
RFLAGS_FIXED equ 2

TRAP_MAX_DEPTH equ 8
KIND_MASK equ 1 << 30 | 7
PAGE_SHIFT equ 12
RAISED_BITS equ 1024
FXSAVE_SIZE equ 512
XSAVE_HEADER_QWORDS equ 8
PLACE_SIZE equ 3 * 8

; Where the code segment is in what an exception pushes, without and with an error code.
FRAME_CS equ 8
FRAME_ERROR_CS equ 16

extern trap_calls, trap_too_deep, trap_saving_now
extern raised_before
extern xsave_size, xsave_mask
extern kernel_trap_entry, kernel_page_fault_entry, user_page_fault_entry
extern user_syscall_call
extern user_initial_vectors

section .text

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

; RDI = RIP, RSI = RSP, RDX = RFLAGS, RCX = argument: go to ring 3 with nothing in the registers but
; the argument. Returns when user_leave() is called.
global user_enter
align 16
user_enter:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    push qword [gs:LOCAL_KERNEL_STACK]
    push qword [gs:LOCAL_TRAP_DEPTH]
    sub rsp, 8
    mov [gs:LOCAL_KERNEL_STACK], rsp
    mov rax, [gs:LOCAL_TSS_RSP0]
    mov [rax], rsp
    push USER_DS
    push rsi
    push rdx
    push USER_CS
    push rdi
    mov rdi, rcx
    cmp qword [xsave_size], 0
    je .fxsave
    mov eax, [xsave_mask]
    xor edx, edx
    xrstor64 [user_initial_vectors]
    jmp .go
.fxsave:
    fxrstor64 [user_initial_vectors]
.go:
    xor eax, eax
    xor ebx, ebx
    xor ecx, ecx
    xor edx, edx
    xor esi, esi
    xor ebp, ebp
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    xor r11d, r11d
    xor r12d, r12d
    xor r13d, r13d
    xor r14d, r14d
    xor r15d, r15d
    swapgs
    iretq

; In ring 0 again, for good: return from user_enter().
global user_leave
align 16
user_leave:
    mov rsp, [gs:LOCAL_KERNEL_STACK]
    add rsp, 8
    pop qword [gs:LOCAL_TRAP_DEPTH]
    pop qword [gs:LOCAL_KERNEL_STACK]
    mov rax, [gs:LOCAL_TSS_RSP0]
    mov rdx, [gs:LOCAL_KERNEL_STACK]
    mov [rax], rdx
    push RFLAGS_FIXED
    popfq
    fninit
    ldmxcsr [mxcsr]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

; SYSCALL: the flags of IA32_FMASK are clear, the stack is still the user's. As with a function, the
; registers that are not preserved come back without a meaning: zeros.
global user_syscall_entry
align 16
user_syscall_entry:
    swapgs
    mov [gs:LOCAL_USER_STACK], rsp
    mov rsp, [gs:LOCAL_KERNEL_STACK]
    push rcx
    push r11
    push qword [gs:LOCAL_USER_STACK]
    sub rsp, 8
    mov rcx, r10
    mov r9, rax
    call [user_syscall_call]
    xor edi, edi
    xor esi, esi
    xor edx, edx
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    mov rcx, [rsp + 24]
    mov r11, [rsp + 16]
    mov rsp, [rsp + 8]
    swapgs
    ; RCX is canonical, as SYSRET wants it: nothing is mapped where the last instruction of the lower
    ; half would be.
    o64 sysret

; The gates while there is user mode: what comes from ring 0 goes the way that it goes without.
global user_page_fault_gate
align 16
user_page_fault_gate:
    test byte [rsp + FRAME_ERROR_CS], 3
    jnz .user
    jmp [kernel_page_fault_entry]
.user:
    jmp [user_page_fault_entry]

global user_trap_gate
align 16
user_trap_gate:
    test byte [rsp + FRAME_CS], 3
    jnz .user
    jmp [kernel_trap_entry]
.user:
    swapgs
    push_registers
    push RFLAGS_FIXED       ; neither the direction nor, for SMAP, the alignment-check flag
    popfq
    mov edi, [gs:AREA_PHYSICAL]
    shr edi, PAGE_SHIFT
    and edi, RAISED_BITS - 1
    bt [gs:AREA_RAISED], edi
    jnc .real
    call raised_before
    jmp .again
.real:
    push qword [gs:AREA_LINEAR]
    push qword [gs:AREA_PHYSICAL]
    push qword [gs:AREA_QUALIFICATION]
    and qword [rsp], KIND_MASK
    push qword [gs:LOCAL_TRAP_DEPTH]
    mov dword [gs:AREA_BUSY], 0
    mov rdi, rsp
    cmp qword [gs:LOCAL_TRAP_DEPTH], TRAP_MAX_DEPTH
    jae too_deep
    inc qword [gs:LOCAL_TRAP_DEPTH]
    mov rbx, rsp
    mov r12d, [trap_saving_now]
    cmp qword [xsave_size], 0
    je .fxsave
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
    fninit
    ldmxcsr [mxcsr]
    call [trap_calls + r12 * 8]
    mov eax, [xsave_mask]
    xor edx, edx
    xrstor64 [rsp]
    jmp .leave
.fxsave:
    sub rsp, FXSAVE_SIZE
    fxsave64 [rsp]
    fninit
    ldmxcsr [mxcsr]
    call [trap_calls + r12 * 8]
    fxrstor64 [rsp]
.leave:
    mov rsp, rbx
    pop qword [gs:LOCAL_TRAP_DEPTH]
    add rsp, PLACE_SIZE
.again:
    pop_registers
    swapgs
    iretq

too_deep:
    call trap_too_deep
    ud2

section .rodata

align 4
mxcsr:
    dd 0x1f80               ; all exceptions masked, round to nearest

section .user.text progbits alloc exec nowrite align=16

; Where a function of user mode returns to: #UD here is its end.
global user_return
user_return:
    ud2

section .note.GNU-stack noalloc noexec nowrite progbits
