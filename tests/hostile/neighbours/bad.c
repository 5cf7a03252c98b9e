/* A bad neighbour, by its argument: one that crashes, that loops, or that uses up what it can. */
#include <stdnoreturn.h>

#include "worker.h"

enum {
    EXHAUSTED = 7, /* exit code */
    BLOCK_PAGES = 512,
};

/* A triple fault: an exception and no table of handlers. */
static void crash(void)
{
    static const struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) none = {0, 0};

    __asm__ volatile("lidt %0; ud2" : : "m"(none));
}

static void loop(void)
{
    for (;;)
        unprot(worker_pages);
}

/* All memory, all tables, all channels; then an access beyond all of it. */
static noreturn void exhaust(void)
{
    char *memory = (char *)(4ull << 20);
    int error = 0;

    while (malloc(1 << 16))
        ;
    for (uint64_t block = 4ull << 20; block + (2 << 20) < ram_size(); block += 2 << 20)
        error |= prot1((char *)block + WORKER_PAGE, TRAPLINE_READ);
    printf("tables: %s\n", trapline_error_name(error));
    while (channel_offer("good-1", worker_pages, WORKER_PAGES, TRAPLINE_READ) >= 0)
        ;
    memory = alias_window();
    *(volatile char *)(memory + (alias_window_pages() - 1) * WORKER_PAGE) = 1;
    exit(EXHAUSTED);
}

int main(int argc, char **argv)
{
    worker_start();
    if (argc > 1 && strcmp(argv[1], "crash") == 0)
        crash();
    if (argc > 1 && strcmp(argv[1], "loop") == 0)
        loop();
    exhaust();
}
