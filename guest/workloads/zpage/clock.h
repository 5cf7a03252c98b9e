/*
 * Which page loses its frame: a clock with two hands over the frames, without the accessed flags of
 * a page table. The first hand takes the access to the pages away, a batch at a time; the second
 * one follows some frames behind and chooses those that nobody has used in between. Who uses such a
 * page traps, and gets the access back: the page stays for another round.
 */
#ifndef ZPAGE_CLOCK_H
#define ZPAGE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clock_settings {
    size_t frames;
    size_t lead;  /* how far apart the hands are at most */
    size_t batch; /* frames that are watched at a time, at most SPACE_BATCH_MAX */
    void (*watch)(const uint32_t *frames, size_t count);
    bool (*untouched)(uint32_t frame); /* it is watched still */
};

void clock_begin(const struct clock_settings *settings);

/* A frame whose page nobody can access. All frames are in use. */
uint32_t clock_choose(void);

#endif
