/* The walk of the paper's programs: 100 pages in a random permutation, each written to once. */
#ifndef BENCH_WALK_H
#define BENCH_WALK_H

enum {
    WALK_PAGES = 100,
};

/* The pages in the order in which they are written. */
extern char *walk[WALK_PAGES];

/* Walk over the pages from this one on, in a new order. */
void walk_over(char *first);

static inline void walk_write(void)
{
    for (int i = 0; i < WALK_PAGES; i++)
        *(volatile char *)walk[i] = 1;
}

#endif
