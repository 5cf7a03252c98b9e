/*
 * Litmus tests: small programs on several nodes whose results tell whether memory is sequentially
 * consistent. Variables are counted up instead of being set back between rounds, so that rounds
 * need no barrier between them, and every pair of rounds of two nodes is a test.
 */
#ifndef SVM_LITMUS_H
#define SVM_LITMUS_H

#include <trapline/portable.h>

struct litmus_options {
    uint64_t rounds; /* of each node in each test */
    uint64_t spread; /* turns of a loop that a round is held up by, at most */
    const char *mode;
};

/* Bytes of the space that the tests take. */
size_t litmus_bytes(const struct litmus_options *options);

/*
 * Run those for which there are nodes enough, on all nodes at once. Node 0 prints what was seen,
 * and returns whether nothing forbidden was; the others return true.
 */
bool litmus_run(const struct litmus_options *options);

#endif
