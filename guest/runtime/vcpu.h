/*
 * What a vCPU has for itself: found through its GS base, and shared with vectors.asm. Code at CPL 0
 * runs with that GS base; whoever goes to another level swaps it. FS base points to the part of it
 * that libraries look for there.
 */
#ifndef GUEST_RUNTIME_VCPU_H
#define GUEST_RUNTIME_VCPU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trapline/abi.h>
#include "guest/runtime/thread.h"

enum {
    VCPU_STACK = 64 * 1024,
    VCPU_EXCEPTION_STACK = 16 * 1024,
    VCPU_GDT_SLOTS = 8,
    VCPU_LABEL = 12,
};

/* Where the stacks are of vCPUs other than 0; below each lies a page that is not mapped. */
struct vcpu_stacks {
    char guard[TRAPLINE_PAGE_SIZE];
    char stack[VCPU_STACK];
    char exception_guard[TRAPLINE_PAGE_SIZE];
    char exception_stack[VCPU_EXCEPTION_STACK];
};

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t io_map_base;
} __attribute__((packed));

/* At FS base: what the x86-64 ABI for thread-local storage and the compiler's stack protector say.
 */
struct vcpu_thread_block {
    struct vcpu_thread_block *self;
    uint64_t unused[4];
    uint64_t canary;
};

_Static_assert(offsetof(struct vcpu_thread_block, canary) == 0x28, "where GCC's code looks for it");

struct vcpu_local {
    struct trapline_trap_area area; /* first: the hypervisor and the CPU write it */
    uint64_t trap_depth;            /* forbidden accesses that are in their handlers */
    uint64_t retry_page, retry_rip; /* the access that was tried again last, see vectors.asm */
    uint64_t retries;               /* how often that was */
    struct vcpu_local *self;
    uint64_t user_stack;   /* SYSCALL: where the user's stack pointer is put */
    uint64_t kernel_stack; /* where entries from ring 3 begin; 0 = none is expected */
    uint64_t tss_rsp0;     /* address of the same in the TSS */
    uint64_t space_stale;  /* spaces whose translations are dropped when it goes there: space.h */
    uint32_t space;        /* the space it is in, as others may know it */
    uint32_t index;
    char label[VCPU_LABEL]; /* see vcpu_label() */
    struct thread_slot thread;
    char *stack_guard, *stack_bottom, *stack_top;
    char *exception_stack_top;
    uint64_t gdt[VCPU_GDT_SLOTS];
    struct tss tss;
    bool has_user_mode; /* user_run() was called on this vCPU */
    struct user_result *user_result;
    struct vcpu_thread_block thread_block;
} __attribute__((aligned(TRAPLINE_PAGE_SIZE)));

/* A vCPU of a guest that has several, but for the first: built behind the image. */
struct vcpu_space {
    struct vcpu_stacks stacks;
    struct vcpu_local local;
};

_Static_assert(sizeof(struct vcpu_local) == TRAPLINE_PAGE_SIZE, "the trap area has a page");
_Static_assert(sizeof(struct vcpu_space) % TRAPLINE_PAGE_SIZE == 0, "whole pages");
/* As in vectors.asm. */
_Static_assert(offsetof(struct vcpu_local, area.busy) == 4, "AREA_BUSY");
_Static_assert(offsetof(struct vcpu_local, area.qualification) == 8, "AREA_QUALIFICATION");
_Static_assert(offsetof(struct vcpu_local, area.linear) == 16, "AREA_LINEAR");
_Static_assert(offsetof(struct vcpu_local, area.physical) == 24, "AREA_PHYSICAL");
_Static_assert(offsetof(struct vcpu_local, area.raised) == 40, "AREA_RAISED");
/* As in trapline/view.h. */
_Static_assert(offsetof(struct vcpu_local, area.eptp_index) == 32, "VIEW_GS_INDEX");
_Static_assert(offsetof(struct vcpu_local, trap_depth) == 168, "LOCAL_TRAP_DEPTH");
_Static_assert(offsetof(struct vcpu_local, retry_page) == 176, "LOCAL_RETRY_PAGE");
_Static_assert(offsetof(struct vcpu_local, retry_rip) == 184, "LOCAL_RETRY_RIP");
_Static_assert(offsetof(struct vcpu_local, retries) == 192, "LOCAL_RETRIES");
_Static_assert(offsetof(struct vcpu_local, self) == 200, "LOCAL_SELF");
/* As in user.asm. */
_Static_assert(offsetof(struct vcpu_local, user_stack) == 208, "LOCAL_USER_STACK");
_Static_assert(offsetof(struct vcpu_local, kernel_stack) == 216, "LOCAL_KERNEL_STACK");
_Static_assert(offsetof(struct vcpu_local, tss_rsp0) == 224, "LOCAL_TSS_RSP0");

/* As in trapline/space.h. */
_Static_assert(offsetof(struct vcpu_local, space) == 240, "SPACE_GS_NUMBER");

/* The calling vCPU's. */
static inline struct vcpu_local *vcpu_self(void)
{
    struct vcpu_local *self;

    __asm__("movq %%gs:%c1, %0" : "=r"(self) : "i"(offsetof(struct vcpu_local, self)));
    return self;
}

/* That of vCPU index, which is less than vcpu_count(). */
struct vcpu_local *vcpu_local(unsigned index);

/*
 * Find room for the vCPUs behind the image: first is the first free address there, a multiple of
 * the page size. Returns the first one left free. Ends the guest when RAM is too small.
 */
uint64_t vcpu_place(const struct trapline_info *info, uint64_t first);

/* The spaces of vCPUs 1 to vcpu_count() - 1, one after the other. */
struct vcpu_space *vcpu_spaces(void);

/* Make the structures of vCPU index, and those of the calling vCPU its own: GDT, TSS, FS and GS
 * base. */
void vcpu_init(unsigned index);
void vcpu_enter(struct vcpu_local *local);

#endif
