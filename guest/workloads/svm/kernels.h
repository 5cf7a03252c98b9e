/*
 * Programs that run in the shared space on all nodes at once, and just as well in memory of one
 * node's own: as a crew of one.
 */
#ifndef SVM_KERNELS_H
#define SVM_KERNELS_H

#include <trapline/portable.h>

struct crew {
    unsigned self, count;
    void (*meet)(void); /* a barrier */
    void (*lock)(unsigned lock);
    void (*unlock)(unsigned lock);
};

struct work {
    uint64_t size;   /* what it is of says the kernel */
    uint64_t rounds; /* of those that have any */
};

struct kernel {
    const char *name;
    struct work usual;
    /* The nearest size that count nodes can divide among themselves, not above size; 0: none. */
    uint64_t (*fit)(uint64_t size, unsigned count);
    size_t (*bytes)(const struct work *work); /* of memory */
    void (*fill)(void *memory, const struct work *work);
    void (*run)(void *memory, const struct work *work, const struct crew *crew);
    /* Where in memory the result lies. */
    size_t (*result)(const struct work *work, size_t *bytes);
};

extern const struct kernel kernel_jacobi, kernel_matrix, kernel_sort, kernel_dot;

/* A crew member's part of one round of kernel_jacobi. */
void jacobi_round(void *memory, const struct work *work, const struct crew *crew, uint64_t round);

/* A crew member's part of count things: from the first one to before the next one's first. */
static inline uint64_t crew_part(uint64_t count, const struct crew *crew, unsigned member)
{
    return count * member / crew->count;
}

#endif
