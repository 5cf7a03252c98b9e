/*
 * Exceptions that a test wants: TRY() runs instructions and tells which exception they raised. The
 * gates of the runtime's IDT are replaced, all but the one of TRAP.
 */
#ifndef TRAPLINE_TESTS_EXCEPT_H
#define TRAPLINE_TESTS_EXCEPT_H

#include "suite.h"

enum vector {
    VECTOR_NONE = -1,
    VECTOR_DE = 0,
    VECTOR_DB = 1,
    VECTOR_BP = 3,
    VECTOR_UD = 6,
    VECTOR_NM = 7,
    VECTOR_DF = 8,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
    VECTOR_AC = 17,
    EXCEPT_VECTORS = 32,
};

struct except_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* Called for an exception outside of TRY(), when set; it changes the frame as it likes. */
typedef void except_hook(struct except_frame *frame);

struct except_state {
    uint64_t resume; /* where TRY() ends; 0 outside of it */
    int vector;      /* of the last exception in TRY() */
    uint64_t error;
    uint64_t rip;
    except_hook *hook;
};
extern struct except_state except_state;
struct except_state except_state;

void except_caught(struct except_frame *frame);

/* Here and not static, for the stub below. */
void except_caught(struct except_frame *frame)
{
    if (except_state.resume) {
        except_state.vector = (int)frame->vector;
        except_state.error = frame->error;
        except_state.rip = frame->rip;
        frame->rip = except_state.resume;
        frame->rflags &= ~(1ul << 8 | 1ul << 18); /* TF and AC */
        except_state.resume = 0;
    } else if (except_state.hook) {
        except_state.hook(frame);
    } else {
        printf("not ok unexpected exception %lu: error 0x%lx at rip 0x%lx\n", frame->vector,
               frame->error, frame->rip);
        exit(EXIT_FAILURE);
    }
}

__asm__(
    ".text\n"
    ".macro except_stub vector\n"
    "except_\\vector:\n\t"
    ".if \\vector != 8 && (\\vector < 10 || \\vector > 14) && \\vector != 17 && \\vector != 21"
    " && \\vector != 29 && \\vector != 30\n\t"
    "pushq $0\n\t"
    ".endif\n\t"
    "pushq $\\vector\n\t"
    "jmp except_common\n"
    ".endm\n"
    ".altmacro\n"
    ".set except_i, 0\n"
    ".rept 32\n"
    "except_stub %except_i\n"
    ".set except_i, except_i + 1\n"
    ".endr\n"
    "except_common:\n\t"
    "push %rax\n\tpush %rbx\n\tpush %rcx\n\tpush %rdx\n\tpush %rsi\n\tpush %rdi\n\tpush %rbp\n\t"
    "push %r8\n\tpush %r9\n\tpush %r10\n\tpush %r11\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\t"
    "push %r15\n\t"
    "mov %rsp, %rdi\n\t"
    "mov %rsp, %rbx\n\t"
    "and $-64, %rsp\n\t"
    "sub $512, %rsp\n\t"
    "fxsave64 (%rsp)\n\t"
    "cld\n\t"
    "call except_caught\n\t"
    "fxrstor64 (%rsp)\n\t"
    "mov %rbx, %rsp\n\t"
    "pop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %r11\n\tpop %r10\n\tpop %r9\n\tpop %r8\n\t"
    "pop %rbp\n\tpop %rdi\n\tpop %rsi\n\tpop %rdx\n\tpop %rcx\n\tpop %rbx\n\tpop %rax\n\t"
    "add $16, %rsp\n\t"
    "iretq\n"
    ".section .rodata\n"
    ".balign 8\n"
    "except_stubs:\n"
    ".macro except_entry vector\n"
    ".quad except_\\vector\n"
    ".endm\n"
    ".set except_i, 0\n"
    ".rept 32\n"
    "except_entry %except_i\n"
    ".set except_i, except_i + 1\n"
    ".endr\n"
    ".noaltmacro\n"
    ".text\n");
extern const uint64_t except_stubs[EXCEPT_VECTORS];

struct idt_gate {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t ist;
    uint8_t type;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};

struct descriptor_table {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

static inline struct idt_gate *idt_gates(void)
{
    struct descriptor_table idtr;

    __asm__ volatile("sidt %0" : "=m"(idtr));
    return (struct idt_gate *)idtr.base;
}

static inline void set_gate(unsigned vector, uint64_t entry)
{
    struct idt_gate *gate = &idt_gates()[vector];

    gate->offset_low = (uint16_t)entry;
    gate->offset_middle = (uint16_t)(entry >> 16);
    gate->offset_high = (uint32_t)(entry >> 32);
}

/* Take over all exceptions but TRAP. They keep the stack of their own that the runtime gave them.
 */
static inline void except_init(void)
{
    for (unsigned vector = 0; vector < EXCEPT_VECTORS; vector++) {
        if (vector != TRAPLINE_VECTOR_TRAP)
            set_gate(vector, except_stubs[vector]);
    }
}

/*
 * TRY(vector, "instructions", outputs, inputs, clobbers...): run them; vector (an int) becomes that
 * of the exception they raised, or VECTOR_NONE. Use %= in labels.
 */
#define TRY(vector_, text, outputs, inputs, ...)                                                   \
    do {                                                                                           \
        except_state.vector = VECTOR_NONE;                                                         \
        __asm__ volatile("movq $except_end%=, except_state\n\t" text "\nexcept_end%=:\n\t"         \
                         "movq $0, except_state"                                                   \
                         : outputs:inputs                                                          \
                         : "memory", "cc" __VA_OPT__(, ) __VA_ARGS__);                             \
        (vector_) = except_state.vector;                                                           \
    } while (0)

#define ARGS(...) __VA_ARGS__

#endif
