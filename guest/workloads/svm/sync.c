/* Barriers and locks: node 0 keeps them, and the others send it messages. */
#include "guest/workloads/svm/node.h"

enum {
    KEEPER = 0,
};

static struct lock {
    bool taken;
    unsigned char queue[PEERS_MAX]; /* who waits, the first first */
    unsigned waiting;
} locks[SVM_LOCKS];

static unsigned arrived;
static atomic_uint at_barrier, at_lock; /* whether the node's thread waits there */

static void post(unsigned to, enum message_kind kind, unsigned lock)
{
    node_post(to, &(struct peer_message){.kind = kind, .word = {lock}}, NULL);
}

static void arrive(void)
{
    if (++arrived < node.count)
        return;
    arrived = 0;
    for (unsigned i = 0; i < node.count; i++)
        post(i, MESSAGE_GO, 0);
}

static void lock_wanted(unsigned number, unsigned by)
{
    struct lock *lock = &locks[number];

    if (lock->taken) {
        lock->queue[lock->waiting++] = (unsigned char)by;
        return;
    }
    lock->taken = true;
    post(by, MESSAGE_LOCKED, number);
}

static void lock_left(unsigned number)
{
    struct lock *lock = &locks[number];
    const unsigned next = lock->queue[0];

    if (lock->waiting == 0) {
        lock->taken = false;
        return;
    }
    lock->waiting--;
    memmove(lock->queue, lock->queue + 1, lock->waiting);
    post(next, MESSAGE_LOCKED, number);
}

static void let_go(atomic_uint *word)
{
    atomic_store(word, 0);
    node_wake();
}

void sync_handle(const struct peer_message *message)
{
    const unsigned lock = (unsigned)message->word[WORD_PAGE];

    if (lock >= SVM_LOCKS)
        node_fail("a message of lock", lock);
    switch (message->kind) {
    case MESSAGE_ARRIVED: arrive(); break;
    case MESSAGE_GO: let_go(&at_barrier); break;
    case MESSAGE_LOCK: lock_wanted(lock, message->from); break;
    case MESSAGE_LOCKED: let_go(&at_lock); break;
    default: lock_left(lock); break;
    }
}

/* Ask the keeper for something and wait until it has come. */
static void ask_keeper(enum message_kind kind, unsigned lock, atomic_uint *word)
{
    const bool held = node_lock();

    node.fresh = NO_PAGE; /* it has been used */
    node_retry_deferred();
    atomic_store(word, 1);
    post(KEEPER, kind, lock);
    node_unlock(held);
    node_wait(word);
}

void svm_barrier(void)
{
    ask_keeper(MESSAGE_ARRIVED, 0, &at_barrier);
}

void svm_lock(unsigned lock)
{
    ask_keeper(MESSAGE_LOCK, lock, &at_lock);
}

void svm_unlock(unsigned lock)
{
    const bool held = node_lock();

    post(KEEPER, MESSAGE_UNLOCK, lock);
    node_unlock(held);
}
