/*
 * When a node serves the others. With a thread to spare (several vCPUs) that one does nothing else,
 * and the thread that computes waits for it. With one thread a message interrupts it, and where it
 * waits, in a fault's handler, at a barrier or for a lock, it serves meanwhile. Either way messages
 * are seen to soon, whatever the node does, and seeing to them waits for nothing: see protocol.c.
 */
#include "guest/workloads/svm/node.h"

enum {
    SERVER = 1,  /* the serving thread's number */
    LOOKS = 200, /* before the thread that computes is parked */
};

static atomic_bool stopping;

bool node_lock(void)
{
    const bool held = !node.threaded && peers_hold();

    mutex_lock(&node.mutex);
    return held;
}

void node_unlock(bool held)
{
    mutex_unlock(&node.mutex);
    if (!node.threaded)
        peers_release(held);
}

/* See to all messages. Returns in how many ticks a deferred one is due, 0: none is. */
static uint64_t serve(void)
{
    const bool held = node_lock();
    const struct peer_message *first;
    const void *page;
    uint64_t due = 0;

    do {
        while ((first = peers_first(&page))) {
            const struct peer_message message = *first;

            if (message.from >= node.count || message.kind >= MESSAGE_KINDS)
                node_fail("a message of kind", message.kind);
            node_handle(&message, page);
            peers_drop();
        }
        node_retry_deferred();
    } while (peers_arm());
    if (node.deferred_count && node.fresh != NO_PAGE && node.fresh_until != UINT64_MAX) {
        const uint64_t now = rdtsc();

        due = node.fresh_until > now ? node.fresh_until - now : 1;
    }
    node_unlock(held);
    return due;
}

static void serve_interrupt(void)
{
    const uint64_t due = serve();

    if (due)
        peers_alarm(due);
}

static void serve_thread(void *unused)
{
    (void)unused;
    peers_listen();
    while (!atomic_load(&stopping)) {
        const uint64_t due = serve();

        peers_wait(due);
    }
}

void node_wake(void)
{
    if (node.threaded)
        thread_unpark(0);
}

void node_served_late(void)
{
    if (node.threaded)
        peers_wake();
    else
        peers_alarm(node.hold);
}

void node_wait(atomic_uint *word)
{
    if (node.threaded) {
        for (unsigned i = 0; i < LOOKS && atomic_load(word); i++)
            __builtin_ia32_pause();
        while (atomic_load(word))
            thread_park(0);
        return;
    }

    const bool held = peers_hold();
    uint64_t due = 0;

    while (atomic_load(word)) {
        due = serve();
        if (atomic_load(word))
            peers_wait(due);
    }
    if (due)
        peers_alarm(due);
    peers_release(held);
}

void serve_start(void)
{
    int result;

    if (node.count == 1)
        return;
    if (node.threaded)
        result = thread_start(SERVER, serve_thread, NULL);
    else
        result = peers_interrupt(serve_interrupt);
    if (result != 0)
        node_fail("nobody can serve the others (this takes two threads here), error",
                  (uint64_t)-result);
}

void serve_end(void)
{
    if (node.count > 1 && node.threaded) {
        atomic_store(&stopping, true);
        peers_wake();
        thread_join(SERVER);
    }
    peers_end();
}
