/* Instructions at CPL 3: copied to a page of their own, run, and their end seen as an exception. */
#ifndef TRAPLINE_TESTS_USER_H
#define TRAPLINE_TESTS_USER_H

#include "except.h"
#include "walk.h"

/* The code runs without a stack, RAX and RFLAGS as given, and ends by any exception. */
__asm__(".text\n"
        "user_enter:\n\t" /* RDI = linear address, RSI = RAX, RDX = RFLAGS; returns RAX */
        "push %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\t"
        "mov %rsp, user_kernel_rsp\n\t"
        "mov %rsi, %rax\n\t"
        "pushq $0x23\n\t" /* SS */
        "pushq $0\n\t"    /* RSP */
        "push %rdx\n\t"
        "pushq $0x1b\n\t" /* CS */
        "push %rdi\n\t"
        "iretq\n"
        "user_back:\n\t"
        "pop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\t"
        "ret\n");
extern const char user_back[];
int64_t user_enter(const void *linear, uint64_t rax, uint64_t rflags);
extern uint64_t user_kernel_rsp;
uint64_t user_kernel_rsp;

/* The exception that ended the code. */
static struct {
    int vector;
    uint64_t error;
    uint64_t offset; /* of the instruction that raised it, in the code */
} user_end;

static inline void user_hook(struct except_frame *frame)
{
    if ((frame->cs & 3) != 3) {
        printf("not ok exception %lu at 0x%lx, CPL 0\n", frame->vector, frame->rip);
        exit(EXIT_FAILURE);
    }
    user_end.vector = (int)frame->vector;
    user_end.error = frame->error;
    user_end.offset = frame->rip - WALK_LINEAR;
    frame->rip = (uint64_t)user_back;
    frame->rsp = user_kernel_rsp;
    frame->cs = TRAPLINE_SEL_CODE;
    frame->ss = TRAPLINE_SEL_DATA;
    frame->rflags = 2;
}

/* The runtime's GDT with user segments behind its own: 0x1b is code, 0x23 data. */
static inline void user_init(void)
{
    static uint64_t gdt[8];
    struct descriptor_table old, new = {sizeof(gdt) - 1, (uint64_t)gdt};
    uint16_t tr;

    __asm__ volatile("sgdt %0" : "=m"(old));
    __asm__ volatile("str %0" : "=r"(tr));
    memcpy(gdt, (void *)old.base, 3 * sizeof(uint64_t));
    gdt[3] = 0x00affb000000ffff;
    gdt[4] = 0x00cff3000000ffff;
    memcpy(&gdt[5], (char *)old.base + (tr & ~7u), 2 * sizeof(uint64_t));
    gdt[5] &= ~(2ul << 40); /* the TSS is busy: LTR wants it free */
    __asm__ volatile("lgdt %0\n\tltr %w1" : : "m"(new), "r"(5 * 8) : "memory");
}

/* Run the code, position-independent and at most a page; returns RAX at its end. */
static inline int64_t user_run(const void *code, size_t bytes, uint64_t rax, uint64_t rflags)
{
    char *const page = need_pages(1, 1);
    struct walk walk = walk_map(page);
    int64_t result;

    memcpy(page, code, bytes);
    except_state.hook = user_hook;
    result = user_enter(walk.linear, rax, rflags);
    except_state.hook = NULL;
    walk_unmap(&walk);
    pages_free(page, 1);
    return result;
}

#endif
