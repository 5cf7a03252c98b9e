/* A guest whose second or third vCPU ends it, while the others work. Argument: how. */
#include "threads.h"

static char *page;

static void crash(void *how)
{
    static const struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) no_idt = {0, 0};
    volatile char deep[256];

    while (strcmp(how, "work") == 0)
        nap();
    if (strcmp(how, "exit") == 0)
        exit(7);
    if (strcmp(how, "undefined") == 0)
        __asm__ volatile("ud2");
    if (strcmp(how, "stack") == 0)
        for (volatile char *at = deep;; at -= 64)
            *at = 1;
    if (strcmp(how, "no-handler") == 0)
        *(volatile char *)page = 1;
    if (strcmp(how, "triple-fault") == 0)
        __asm__ volatile("lidt %0\n\tud2" : : "m"(no_idt));
    if (strcmp(how, "spin") == 0)
        for (;;)
            __builtin_ia32_pause();
    if (strcmp(how, "return") == 0)
        return;
    exit(EXIT_FAILURE);
}

static void work(void *argument)
{
    volatile uint64_t *const count = malloc(sizeof(*count));

    (void)argument;
    for (;;)
        ++*count;
}

int main(int argc, char **argv)
{
    const unsigned last = vcpu_count() - 1;

    page = need_pages(1, 1);
    prot1(page, TRAPLINE_READ);
    if (argc != 2)
        return EXIT_FAILURE;
    for (unsigned i = 1; i < last; i++)
        thread_start(i, work, NULL);
    thread_start(last, crash, argv[1]);
    if (strcmp(argv[1], "return") == 0)
        return thread_join(last) ? EXIT_FAILURE : 9;
    if (strcmp(argv[1], "work") == 0)
        return 11; /* with threads that go on */
    for (;;)
        thread_park(0);
}
