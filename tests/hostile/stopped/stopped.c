/*
 * Guests that cannot go on: each argument is a way to end. The hypervisor must stop that guest
 * alone, say why, and let the others run.
 */
#include "except.h"
#include "probe.h"
#include "walk.h"

extern char image_start[], text_end[], stack_bottom[];

/* The runtime reports exceptions; without its IDT there is only the triple fault. */
static void triple_fault(void)
{
    const struct descriptor_table none = {0, 0};

    __asm__ volatile("lidt %0\n\tud2" : : "m"(none));
}

static void undefined(void)
{
    __asm__ volatile("ud2");
}

static void run_at(uint64_t address)
{
    ((void (*)(void))address)();
}

/* An address that the guest's tables map, and nothing is there. */
static void nowhere(void)
{
    run_at((uint64_t)alias_window() + 123 * PAGE);
}

static void unmapped_linear(void)
{
    run_at(1ul << 46);
}

static void not_canonical(void)
{
    *(volatile char *)(1ul << 47) = 1;
}

static void read_physical(uint64_t physical)
{
    const struct walk walk = walk_map((void *)physical);

    printf("read 0x%lx: %d\n", physical, *(volatile char *)walk.linear);
}

static void behind_ram(void)
{
    read_physical(ram_size());
}

/* Where the real machine has its local APIC: not for guests. */
static void apic(void)
{
    const struct walk walk = walk_map((void *)0xfee00000);

    *(volatile uint32_t *)(walk.linear + 0x300) = 0xc4500;
}

static void alias_gone(void)
{
    char *const page = need_pages(1, 1);

    map2(page, alias_window(), ACCESS_RW);
    *(volatile char *)alias_window() = 1;
    unmap2(alias_window());
    *(volatile char *)alias_window() = 2;
}

static void halt(void)
{
    __asm__ volatile("hlt");
}

static void halt_with_interrupts(void)
{
    __asm__ volatile("sti\n\thlt");
}

static void loop(void)
{
    for (;;)
        __asm__ volatile("");
}

/* For ever, but with exits in it. */
static void loop_with_calls(void)
{
    for (;;)
        hypercall_null();
}

/* The most expensive call, again and again. */
static void loop_with_long_calls(void)
{
    for (;;)
        protn_range((void *)BYTES_2M, ram_size() / PAGE - PAGES_2M, ACCESS_ALL);
}

static void no_handler(void)
{
    char *const page = need_pages(1, 1);

    prot1(page, TRAPLINE_READ);
    *page = 1;
}

static void no_area(void)
{
    char *const page = need_pages(1, 1);

    hypercall2(TRAPLINE_HC_TRAP, 0, 0);
    prot1(page, TRAPLINE_READ);
    *page = 1;
}

static char *chain;

static void deeper(struct trapline_fault *fault)
{
    (void)fault;
    chain += PAGE;
    *(volatile char *)chain = 1;
}

static void too_deep(void)
{
    chain = need_pages(TRAP_MAX_DEPTH + 2, 1);
    protn_range(chain, TRAP_MAX_DEPTH + 2, TRAPLINE_READ);
    trap(deeper, 0);
    *(volatile char *)chain = 1;
}

__asm__(".text\n"
        "busy_entry:\n\t"
        "movb $1, (%rdi)\n\t"
        "iretq\n");
extern const char busy_entry[];

/* A handler that faults before it has released the area. */
static void busy(void)
{
    char *const page = need_pages(1, 1);

    set_gate(TRAPLINE_VECTOR_TRAP, (uint64_t)busy_entry);
    prot1(page, TRAPLINE_READ);
    probe_write(page, 1);
}

/* The stack that the trap would be delivered on. */
static void own_stack(void)
{
    uint64_t rsp;

    __asm__ volatile("mov %%rsp, %0" : "=r"(rsp));
    prot1((void *)(rsp & ~0xffful), TRAPLINE_READ);
    __asm__ volatile("push %rax");
}

static void all_stacks(void)
{
    protn_range(stack_bottom, 16, TRAPLINE_NONE);
    __asm__ volatile("push %rax");
}

static void own_idt(void)
{
    prot1((void *)((uint64_t)idt_gates() & ~0xffful), TRAPLINE_NONE);
    __asm__ volatile("ud2");
}

static void own_tables(void)
{
    uint64_t cr3;

    __asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
    prot1((void *)(cr3 & ~0xffful), TRAPLINE_NONE);
    __asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
}

static void own_code(void)
{
    protn_range(image_start, (size_t)(text_end - image_start) / PAGE, ACCESS_RW);
}

/* Everything at once. */
static void all_of_ram(void)
{
    protn_range(0, ram_size() / PAGE, TRAPLINE_NONE);
}

static void exit_code(void)
{
    exit(77);
}

/* The hypervisor's own exit call with a code that is no int. */
static void exit_raw(void)
{
    hypercall2(TRAPLINE_HC_EXIT, ~0ul, 0);
}

static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {
    {"triple-fault", triple_fault},
    {"undefined", undefined},
    {"nowhere", nowhere},
    {"unmapped-linear", unmapped_linear},
    {"not-canonical", not_canonical},
    {"behind-ram", behind_ram},
    {"apic", apic},
    {"alias-gone", alias_gone},
    {"halt", halt},
    {"halt-with-interrupts", halt_with_interrupts},
    {"loop", loop},
    {"loop-with-calls", loop_with_calls},
    {"loop-with-long-calls", loop_with_long_calls},
    {"no-handler", no_handler},
    {"no-area", no_area},
    {"too-deep", too_deep},
    {"busy", busy},
    {"own-stack", own_stack},
    {"all-stacks", all_stacks},
    {"own-idt", own_idt},
    {"own-tables", own_tables},
    {"own-code", own_code},
    {"all-of-ram", all_of_ram},
    {"exit-code", exit_code},
    {"exit-raw", exit_raw},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < COUNT(ways); i++) {
        if (strcmp(argv[1], ways[i].name) == 0) {
            ways[i].run();
            printf("not ok %s: still running\n", argv[1]);
            return EXIT_SUCCESS;
        }
    }
    printf("not ok arguments\n");
    return EXIT_FAILURE;
}
