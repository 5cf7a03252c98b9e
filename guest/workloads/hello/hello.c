/*
 * The example: take the write permission from a page, have the write delivered to a handler, give
 * the permission back there, and see the write happen.
 */
#include <trapline/trapline.h>

static volatile int faults; /* changed by the handler, in the middle of anything */

static void on_fault(struct trapline_fault *fault)
{
    faults++;
    printf("hello: a write to %p was stopped at rip %#lx\n", (void *)fault->address, fault->rip);
    unprot(trap_page(fault));
}

int main(int argc, char **argv)
{
    volatile int *page = pages_alloc(1, 1);

    printf("hello: this is guest \"%s\" with %zu MiB of memory\n", argv[0], ram_size() >> 20);
    for (int i = 1; i < argc; i++)
        printf("hello: argument %d is \"%s\"\n", i, argv[i]);

    trap(on_fault, 0);
    if (prot1((void *)page, TRAPLINE_READ) < 0)
        return EXIT_FAILURE;

    printf("hello: reading is allowed: %d\n", *page);
    *page = 42;
    printf("hello: and now the page holds %d\n", *page);
    return faults == 1 && *page == 42 ? EXIT_SUCCESS : EXIT_FAILURE;
}
