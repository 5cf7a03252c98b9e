#include "guest/workloads/svm/messages.h"

#include "guest/common/figures.h"
#include "guest/common/peers.h"

/* Of a message; its words are the grid, the first byte in it, and how many. */
enum kind {
    KIND_BAND,   /* from node 0, before the first round */
    KIND_EDGE,   /* from a neighbour, after a round */
    KIND_RESULT, /* to node 0 */
    KINDS
};

enum {
    GRIDS = 2,         /* that take turns */
    FULL_TICKS = 2000, /* to sleep when there is no room for a message */
};

/* All of the grids are there, but a node looks at its band and the rows beside it only. */
static struct field {
    const struct work *work;
    char *memory; /* as kernel_jacobi has it */
    struct crew crew;
    uint64_t arrived[KINDS][GRIDS]; /* bytes */
} field;

static void nobody(void)
{
}

static char *grid_at(unsigned which)
{
    return field.memory + kernel_jacobi.bytes(field.work) / GRIDS * which;
}

static uint64_t row_bytes(void)
{
    return field.work->size * sizeof(double);
}

static uint64_t first_row(unsigned member)
{
    return 1 + crew_part(field.work->size - 2, &field.crew, member);
}

static void send_rows(unsigned to, enum kind kind, unsigned which, uint64_t first, uint64_t rows)
{
    uint64_t at = first * row_bytes();
    const uint64_t end = at + rows * row_bytes();

    while (at < end) {
        const uint64_t bytes = end - at < TRAPLINE_PAGE_SIZE ? end - at : TRAPLINE_PAGE_SIZE;
        const struct peer_message message = {.kind = kind, .word = {which, at, bytes}};
        unsigned char page[TRAPLINE_PAGE_SIZE];

        memcpy(page, grid_at(which) + at, bytes);
        while (!peers_send(to, &message, page))
            thread_park(FULL_TICKS);
        at += bytes;
    }
}

/* Take what comes, until so many bytes of a kind have come; others may come as well, a
 * neighbour's for the next round among them: that is for the other grid. */
static void receive(enum kind kind, unsigned which, uint64_t bytes)
{
    const struct peer_message *message;
    const void *page;

    while (field.arrived[kind][which] < bytes) {
        message = peers_first(&page);
        if (!message) {
            peers_wait(0);
            continue;
        }
        memcpy(grid_at((unsigned)message->word[0]) + message->word[1], page, message->word[2]);
        field.arrived[message->kind][message->word[0]] += message->word[2];
        peers_drop();
    }
    field.arrived[kind][which] -= bytes;
}

/* All nodes know the values at the square's edge; those inside node 0 alone has. */
static void begin(void)
{
    kernel_jacobi.fill(field.memory, field.work);
    for (uint64_t y = 1; y < field.work->size - 1 && field.crew.self != 0; y++)
        memset(grid_at(0) + y * row_bytes() + sizeof(double), 0, row_bytes() - 2 * sizeof(double));
}

/* Each node gets its band, and the rows beside it. */
static void deal(void)
{
    const unsigned self = field.crew.self;

    for (unsigned i = 1; i < field.crew.count && self == 0; i++)
        send_rows(i, KIND_BAND, 0, first_row(i) - 1, first_row(i + 1) - first_row(i) + 2);
    if (self != 0)
        receive(KIND_BAND, 0, (first_row(self + 1) - first_row(self) + 2) * row_bytes());
}

/* After a round, whose results are in a grid. */
static void exchange(unsigned which)
{
    const unsigned self = field.crew.self;
    uint64_t neighbours = 0;

    if (self > 0) {
        send_rows(self - 1, KIND_EDGE, which, first_row(self), 1);
        neighbours++;
    }
    if (self + 1 < field.crew.count) {
        send_rows(self + 1, KIND_EDGE, which, first_row(self + 1) - 1, 1);
        neighbours++;
    }
    receive(KIND_EDGE, which, neighbours * row_bytes());
}

/* The bands of the others come to node 0. */
static void collect(unsigned which)
{
    const uint64_t others = field.work->size - 2 - (first_row(1) - first_row(0));

    if (field.crew.self == 0)
        receive(KIND_RESULT, which, others * row_bytes());
    else
        send_rows(0, KIND_RESULT, which, first_row(field.crew.self),
                  first_row(field.crew.self + 1) - first_row(field.crew.self));
}

static bool report(uint64_t together, bool verify)
{
    const struct crew alone = {.self = 0, .count = 1, .meet = nobody};
    char *expected = malloc(kernel_jacobi.bytes(field.work));
    size_t bytes, at = kernel_jacobi.result(field.work, &bytes);
    uint64_t time;
    bool right;

    assert(expected);
    kernel_jacobi.fill(expected, field.work);
    time = ticks();
    kernel_jacobi.run(expected, field.work, &alone);
    time = ticks() - time;
    right = !verify || memcmp(expected + at, field.memory + at, bytes) == 0;
    free(expected);
    figure_value("svm.jacobi.alone", "baseline", "tsc", "run", (double)time);
    figure_value("svm.jacobi.together", "baseline", "tsc", "run", (double)together);
    figure_value("svm.jacobi.speedup", "baseline", "times", "run", (double)time / (double)together);
    printf("svm: jacobi by messages on %u nodes: speedup %.2f (%lu ticks, alone %lu)%s\n",
           field.crew.count, (double)time / (double)together, (unsigned long)together,
           (unsigned long)time, right ? "" : "; the result is WRONG");
    return right;
}

bool messages_jacobi(const struct work *work, bool verify)
{
    bool right = true;
    uint64_t start;

    field.work = work;
    field.crew = (struct crew){.self = peers_self(), .count = peers_count(), .meet = nobody};
    field.memory = malloc(kernel_jacobi.bytes(work));
    assert(field.memory);
    begin();
    start = ticks();
    deal();
    for (uint64_t round = 0; round < work->rounds; round++) {
        jacobi_round(field.memory, work, &field.crew, round);
        exchange((round + 1) % GRIDS);
    }
    start = ticks() - start;
    collect(work->rounds % GRIDS);
    if (field.crew.self == 0)
        right = report(start, verify);
    free(field.memory);
    return right;
}
