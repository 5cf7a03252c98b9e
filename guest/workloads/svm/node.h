/* One node's side of the protocol: its page table, and what its parts share. */
#ifndef SVM_NODE_H
#define SVM_NODE_H

#include "guest/workloads/svm/svm.h"

/* Of a message; what its words are. */
enum message_kind {
    MESSAGE_READ,        /* page, who wants a copy */
    MESSAGE_WRITE,       /* page, who wants to own it, the version that it has or NO_VERSION */
    MESSAGE_COPY,        /* page, version; with the page */
    MESSAGE_OWNERSHIP,   /* page, version, copies; with the page unless that version is there */
    MESSAGE_INVALIDATE,  /* page, the version that is about to be */
    MESSAGE_INVALIDATED, /* page */
    MESSAGE_ARRIVED,     /* at the barrier; to node 0, as are the locks' */
    MESSAGE_GO,          /* on from the barrier */
    MESSAGE_LOCK,        /* lock */
    MESSAGE_LOCKED,      /* lock */
    MESSAGE_UNLOCK,      /* lock */
    MESSAGE_KINDS
};

enum message_word {
    WORD_PAGE = 0, /* or the lock */
    WORD_WHO = 1,
    WORD_HELD = 2,
    WORD_VERSION = 1,
    WORD_COPIES = 2,
};

#define NO_VERSION UINT64_MAX
#define NO_PAGE    SIZE_MAX

/*
 * An entry of a node's page table. A version is of the page's contents: it changes when a node
 * makes them its own to write. probable_owner leads to the owner, if need be by way of others.
 */
struct shared_page {
    uint8_t access; /* NONE, READ, or READ and WRITE: as the region has it */
    bool owner;
    uint8_t probable_owner;
    uint8_t copies;   /* the owner's: a bit for each node that may have a copy, without itself */
    uint32_t version; /* of what is here */
    uint32_t killed;  /* by the last invalidation: older copies are worth nothing */
};

_Static_assert(PEERS_MAX <= 8, "copies has a bit for each");

/* A fault that is being seen to; there is one at most, since the node has one thread. */
struct pending {
    bool active, write;
    size_t page;
    unsigned acknowledgements; /* that are still to come */
    atomic_uint waiting;       /* 0: done */
};

struct node {
    struct region *region;
    unsigned char *base;  /* of the space */
    unsigned char *alias; /* the same pages, always allowed: the protocol's own way to them */
    size_t pages, used;
    struct shared_page *table;
    unsigned self, count;
    bool threaded; /* a thread of its own serves the others */
    bool deaf;
    uint64_t hold;
    struct mutex mutex; /* for all from here on */
    struct pending pending;
    size_t fresh;         /* a page that came and was perhaps not used yet, or NO_PAGE */
    uint64_t fresh_until; /* UINT64_MAX: the thread has not been told yet */
    struct peer_message deferred[PEERS_MAX];
    unsigned deferred_count;
    struct svm_counts counts;
    struct svm_times times;
};

extern struct node node;

static inline void *node_page(size_t page)
{
    return node.base + page * TRAPLINE_PAGE_SIZE;
}

static inline void *node_alias(size_t page)
{
    return node.alias + page * TRAPLINE_PAGE_SIZE;
}

/* protocol.c; all with the node locked, and none of them waits. */
void node_fault(size_t page, bool write); /* begin to get a page; pending.waiting ends with it */
void node_handle(const struct peer_message *message, const void *page);
void node_post(unsigned to, const struct peer_message *message, const void *page);
void node_set_access(size_t page, unsigned access);
void node_retry_deferred(void);

/* sync.c: messages of locks and barriers, with the node locked. */
void sync_handle(const struct peer_message *message);

/* serve.c */
bool node_lock(void); /* returns what node_unlock() is to be given */
void node_unlock(bool held);
void node_wait(atomic_uint *word); /* serve until it is 0; node not locked */
void node_wake(void);              /* have node_wait() look again */
void node_served_late(void);       /* with the node locked: something is deferred for a while */
void serve_start(void);
void serve_end(void);

noreturn void node_fail(const char *why, uint64_t value);

#endif
