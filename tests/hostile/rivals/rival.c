/*
 * One of several guests that offer one another pages, accept, withdraw, ring and end at random,
 * with bad arguments among the good: every answer is one of the contract, nobody hangs, and what
 * was never offered stays as it is.
 */
#include "worker.h"

enum {
    RIVALS = 3,
    CALLS = 1500,
    SHARED_PAGES = 32,
    SPAN = 64, /* pages of the window that are used */
};

static unsigned char *shared;
static uint64_t state;
static struct { /* what was accepted and not withdrawn, by channel */
    char *address;
    size_t pages;
} accepted[TRAPLINE_CHANNELS];
static volatile unsigned faults, gone;

__asm__(".text\n"
        "touch_read:\n\tmovb (%rdi), %al\n\tret\n"
        "touch_write:\n\tmovb %sil, (%rdi)\n\tret\n"
        "touch_done:\n\tret\n");
void touch_read(const void *address);
void touch_write(void *address, unsigned char value);
extern const char touch_done[];

static void on_fault(struct trapline_fault *fault)
{
    faults++;
    if (fault->kind & TRAPLINE_Q_GONE)
        gone++;
    fault->rip = (uint64_t)touch_done;
}

static uint64_t below(uint64_t limit)
{
    return (worker_random(&state) >> 11) % limit;
}

/* A name of one of the rivals, this one's own too, or of nobody. */
static const char *some_name(void)
{
    static char name[TRAPLINE_NAME_LEN];

    snprintf(name, sizeof(name), "rival-%lu", 1 + below(RIVALS + 1));
    return name;
}

static char *some_address(void)
{
    return (char *)alias_window() + below(SPAN) * WORKER_PAGE +
           (below(50) ? 0 : below(WORKER_PAGE));
}

static int some_channel(void)
{
    return below(20) ? (int)below(12) : (int)worker_random(&state);
}

static int accept(size_t count)
{
    char *address = some_address();
    size_t pages;
    int channel = channel_accept(some_name(), address, count, &pages, NULL);

    if (channel >= 0) {
        accepted[channel].address = address;
        accepted[channel].pages = pages;
    }
    return channel;
}

static int withdraw(void)
{
    int channel = some_channel(), result = channel_withdraw(channel);

    if (result == 0)
        accepted[channel].pages = 0;
    return result;
}

/* Read and write what is shared, or was until the other side withdrew. */
static void touch_all(unsigned char value)
{
    for (unsigned i = 0; i < TRAPLINE_CHANNELS; i++) {
        if (accepted[i].pages) {
            char *address = accepted[i].address + below(accepted[i].pages) * WORKER_PAGE;

            touch_read(address);
            touch_write(address, value);
        }
    }
}

static int one_call(void)
{
    unsigned access = below(20) ? TRAPLINE_READ | (below(2) ? TRAPLINE_WRITE : 0) : below(16);
    char *page = (char *)shared + below(SHARED_PAGES) * WORKER_PAGE;
    size_t count = below(30) ? 1 + below(4) : worker_random(&state) >> below(64);

    switch (below(12)) {
    case 0:
    case 1:
        /* Behind the shared pages are others: not to be offered by chance. */
        if (count > SHARED_PAGES && count <= TRAPLINE_CHANNEL_PAGES)
            count = 1;
        if (page + count * WORKER_PAGE > (char *)shared + SHARED_PAGES * WORKER_PAGE &&
            count <= SHARED_PAGES)
            page = (char *)shared;
        return channel_offer(some_name(), page, count, access);
    case 2:
    case 3:
    case 4: return accept(count);
    case 5:
    case 6: return withdraw();
    case 7: return channel_listen(some_channel(), (unsigned)below(2), (unsigned)below(2));
    case 8: return channel_listen_offers(0, 0);
    case 9: return prot1((void *)((uint64_t)some_address() & ~0xffful), (unsigned)below(8));
    case 10: return unprot((void *)((uint64_t)some_address() & ~0xffful));
    default: return channel_ring(some_channel());
    }
}

static bool known(int result)
{
    switch (-result) {
    case TRAPLINE_ENOENT:
    case TRAPLINE_ENOMEM:
    case TRAPLINE_EAGAIN:
    case TRAPLINE_EEXIST:
    case TRAPLINE_EINVAL:
    case TRAPLINE_EPIPE:
    case TRAPLINE_EOPNOTSUPP: return true;
    default: return result >= 0;
    }
}

int main(void)
{
    char *page = pages_alloc(1, 1);
    unsigned good = 0;

    state = rdtsc() * 2 + 1;
    shared = pages_alloc(SHARED_PAGES, 1);
    worker_sign(page);
    trap(on_fault, 0);
    for (unsigned call = 0; call < CALLS; call++) {
        int result = one_call();

        if (!known(result)) {
            printf("not ok the answer %d\n", result);
            return 1;
        }
        good += result >= 0;
        touch_all((unsigned char)call);
    }
    if (!worker_is_signed(page) || good < CALLS / 20) {
        printf("not ok %s\n", good < CALLS / 20 ? "too little went well" : "its memory changed");
        return 2;
    }
    return 0; /* with all channels as they are */
}
