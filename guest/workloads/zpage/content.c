#include "guest/workloads/zpage/content.h"

#include <trapline/portable.h>

#include "guest/common/random.h"

enum {
    WORDS_MAX = 512,
    TENTHS = 10,
    TEXT_TENTHS = 4,
    POINTER_TENTHS = 8, /* text and pointers together */
    NODE_WORDS = 4,
    NEAR = 64, /* nodes: how far a pointer goes mostly */
};

#define HEAP_BASE 0x00007f5a10000000ull /* where the structures say that they are */
#define SPREAD    0x9e3779b97f4a7c15ull /* an odd number: distinct keys give distinct seeds */

static const char passage[] =
    "The keeper of the lamp climbed the stairs each evening before the sun was down, and each "
    "evening he counted the steps, though he knew how many there were. The sea was never the same "
    "sea. In spring it came in long green hills that broke on the outer rocks with a noise like "
    "carts on a bridge; in summer it lay down and slept, and the boats went over it as a hand goes "
    "over a table. He wrote all this into the book that the harbour office had given him: the "
    "wind, the state of the sea, the ships that passed and the hour at which they passed. When a "
    "ship did not answer the lamp he wrote that down as well, and put a line under it. In the "
    "seventh year he began to write down other things. The gulls had come back to the roof. The "
    "oil of the new supplier smoked. A letter had come from his sister, who lived far from any "
    "water and asked in each letter what there was to see from the lamp. There was the sea, he "
    "answered, and the line at which it stopped, and on that line from time to time a sail which "
    "was so small that it could have been a mistake of the eye. But he lit the lamp for it. That "
    "was the whole of the work: to light the lamp before the sun was down, to keep the glass "
    "clean, to count the steps, and to write into the book what had passed, so that the harbour "
    "office would know, when the winter was over and the boat came out again with oil and bread "
    "and letters, that on each night of the winter the lamp had been lit, and that what the sea "
    "had done it had done in the light. ";

static const char *words[WORDS_MAX]; /* of the passage, in its order */
static uint8_t lengths[WORDS_MAX];   /* with the space behind each */
static uint16_t same[WORDS_MAX];     /* the next place of the same word, in a ring */
static unsigned words_count;

static unsigned same_after(unsigned word)
{
    unsigned i = word;

    do
        i = i + 1 == words_count ? 0 : i + 1;
    while (lengths[i] != lengths[word] || memcmp(words[i], words[word], lengths[i]) != 0);
    return i;
}

void content_init(void)
{
    words_count = 0;
    for (const char *at = passage; *at && words_count < WORDS_MAX; words_count++) {
        const char *const end = strchr(at, ' ') + 1;

        words[words_count] = at;
        lengths[words_count] = (uint8_t)(end - at);
        at = end;
    }
    for (unsigned i = 0; i < words_count; i++)
        same[i] = (uint16_t)same_after(i);
}

/* After each word one that the passage has after it somewhere. */
static void fill_text(uint64_t *random, char *to, size_t bytes)
{
    unsigned word = (unsigned)random_below(random, words_count);

    while (bytes > 0) {
        const size_t part = lengths[word] < bytes ? lengths[word] : bytes;
        const uint64_t hops = random_next(random) % 4;

        memcpy(to, words[word], part);
        to += part;
        bytes -= part;
        for (uint64_t i = 0; i < hops; i++)
            word = same[word];
        word = word + 1 == words_count ? 0 : word + 1;
    }
}

/* Nodes of four words: a tag, two pointers of which one is NULL half of the time, a number. */
static void fill_pointers(uint64_t *random, size_t page, uint64_t *to, size_t bytes)
{
    const uint64_t here = HEAP_BASE + page * TRAPLINE_PAGE_SIZE;
    const size_t node = NODE_WORDS * sizeof(uint64_t);

    for (size_t i = 0; i < bytes / node; i++, to += NODE_WORDS) {
        const uint64_t dice = random_next(random);

        to[0] = 0x100 | (dice & 3);
        to[1] = here + (dice >> 8) % NEAR * node;
        to[2] = dice >> 16 & 1 ? 0 : here + (dice >> 24) % NEAR * node;
        to[3] = dice >> 32 & 0xf;
    }
}

static void fill_noise(uint64_t *random, uint64_t *to, size_t bytes)
{
    for (size_t i = 0; i < bytes / sizeof(*to); i++)
        to[i] = random_next(random) * SPREAD;
}

static enum content_kind kind_of(enum content_kind kind, size_t page)
{
    const unsigned tenth = (unsigned)(page * 7 % TENTHS);

    if (kind != CONTENT_MIXED)
        return kind;
    return tenth < TEXT_TENTHS      ? CONTENT_TEXT
           : tenth < POINTER_TENTHS ? CONTENT_POINTERS
                                    : CONTENT_NOISE;
}

void content_fill(enum content_kind kind, size_t page, uint64_t key, void *to, size_t bytes)
{
    uint64_t random = ((page + 1) << 32 ^ key) * SPREAD | 1;

    random_next(&random);
    switch (kind_of(kind, page)) {
    case CONTENT_TEXT: fill_text(&random, to, bytes); break;
    case CONTENT_POINTERS: fill_pointers(&random, page, to, bytes); break;
    default: fill_noise(&random, to, bytes);
    }
}
