/*
 * The dynamic distributed manager: what a node does about faults of its own and about messages of
 * others. Nothing here waits: what cannot be done now is deferred, for one of two reasons, both of
 * which pass without anything that a deferred message could hold up:
 *
 *   - the node is about to write the page: it will be the owner when the page and all
 *     acknowledgements have come. Acknowledgements are given at once or after the next reason's
 *     time; the page comes from the owner, or from another node that is to be the owner before.
 *   - the page has just come, and the instruction that wanted it has perhaps not been executed
 *     yet: without a time to do so in, two nodes could take a page from each other for ever.
 *
 * Hints lead to an owner: a node that passes a write request on makes the one that asked its hint,
 * and that one defers what comes until it is the owner. So the hints and the write requests on
 * their way form a tree whose root is the owner or is about to be.
 */
#include "guest/workloads/svm/node.h"

void node_post(unsigned to, const struct peer_message *message, const void *page)
{
    if (to == node.self) {
        struct peer_message own = *message;

        own.from = node.self;
        node_handle(&own, page);
        return;
    }
    node.counts.messages++;
    if (!peers_send(to, message, page))
        node_fail("no room for a message to node", to);
}

void node_set_access(size_t page, unsigned access)
{
    const int result = region_prot1(node.region, node_page(page), access);

    if (result != 0)
        node_fail("protecting failed, error", (uint64_t)-result);
    node.table[page].access = (uint8_t)access;
}

static void post_page(unsigned to, enum message_kind kind, size_t page, uint64_t second,
                      uint64_t third, bool with_data)
{
    const struct peer_message message = {.kind = kind, .word = {page, second, third}};

    node_post(to, &message, with_data ? node_alias(page) : NULL);
}

static void ask(size_t page)
{
    const struct shared_page *entry = &node.table[page];
    const bool held = entry->access != TRAPLINE_NONE;

    post_page(entry->probable_owner, node.pending.write ? MESSAGE_WRITE : MESSAGE_READ, page,
              node.self, held ? entry->version : NO_VERSION, false);
}

/* The page is here as the fault wants it. */
static void finish(unsigned access)
{
    node_set_access(node.pending.page, access);
    node.pending.active = false;
    node.fresh = node.pending.page;
    node.fresh_until = UINT64_MAX;
    atomic_store(&node.pending.waiting, 0);
    node_wake();
}

/* The node owns the page; before it writes, nobody else may have a copy. */
static void begin_writing(size_t page)
{
    struct shared_page *entry = &node.table[page];
    const unsigned copies = entry->copies;

    entry->version++;
    entry->copies = 0;
    node.pending.acknowledgements = 0;
    for (unsigned i = 0; i < node.count; i++) {
        if (!(copies & 1u << i))
            continue;
        node.pending.acknowledgements++;
        post_page(i, MESSAGE_INVALIDATE, page, entry->version, 0, false);
    }
    if (copies == 0)
        finish(TRAPLINE_READ | TRAPLINE_WRITE);
}

void node_fault(size_t page, bool write)
{
    const struct shared_page *entry = &node.table[page];
    struct pending *pending = &node.pending;

    node.fresh = NO_PAGE; /* who meets another fault has used it */
    node_retry_deferred();
    if (entry->access & (write ? TRAPLINE_WRITE : TRAPLINE_READ))
        return;
    pending->active = true;
    pending->write = write;
    pending->page = page;
    atomic_store(&pending->waiting, 1);
    if (write) {
        node.counts.write_faults++;
        node.counts.upgrades += entry->owner;
    } else {
        node.counts.read_faults++;
    }
    if (entry->owner)
        begin_writing(page);
    else
        ask(page);
}

static bool is_fresh(size_t page)
{
    if (page != node.fresh)
        return false;
    if (node.fresh_until != UINT64_MAX && rdtsc() >= node.fresh_until)
        node.fresh = NO_PAGE;
    return node.fresh == page;
}

/* Whether a request or an invalidation has to wait. */
static bool must_wait(const struct peer_message *message)
{
    const size_t page = message->word[WORD_PAGE];
    const struct shared_page *entry = &node.table[page];

    if (message->kind == MESSAGE_INVALIDATE)
        return is_fresh(page);
    if (node.pending.active && node.pending.write && node.pending.page == page)
        return true;
    return entry->owner && is_fresh(page);
}

static void forward(const struct peer_message *message, struct shared_page *entry)
{
    if (entry->probable_owner == message->word[WORD_WHO])
        node_fail("a request comes back to node", message->word[WORD_WHO]);
    node.counts.forwards++;
    node_post(entry->probable_owner, message, NULL);
}

static void give_copy(const struct peer_message *message)
{
    const size_t page = message->word[WORD_PAGE];
    const unsigned who = (unsigned)message->word[WORD_WHO];
    struct shared_page *entry = &node.table[page];

    if (!entry->owner) {
        forward(message, entry);
        return;
    }
    /* First, so that the page does not change on its way into the message. */
    if (entry->access & TRAPLINE_WRITE)
        node_set_access(page, TRAPLINE_READ);
    entry->copies |= (uint8_t)(1u << who);
    post_page(who, MESSAGE_COPY, page, entry->version, 0, true);
}

static void give_ownership(const struct peer_message *message)
{
    const size_t page = message->word[WORD_PAGE];
    const unsigned who = (unsigned)message->word[WORD_WHO];
    struct shared_page *entry = &node.table[page];

    if (entry->owner) {
        node_set_access(page, TRAPLINE_NONE);
        entry->owner = false;
        post_page(who, MESSAGE_OWNERSHIP, page, entry->version, entry->copies & ~(1u << who),
                  message->word[WORD_HELD] != entry->version);
    } else {
        forward(message, entry);
    }
    entry->probable_owner = (uint8_t)who;
}

static void take_page(size_t page, const void *data)
{
    node.counts.pages++;
    memcpy(node_alias(page), data, TRAPLINE_PAGE_SIZE);
}

static void expect(const struct peer_message *message, bool write)
{
    const struct pending *pending = &node.pending;

    if (!pending->active || pending->write != write || pending->page != message->word[WORD_PAGE])
        node_fail("nobody waits for this message: kind", message->kind);
}

/*
 * A copy comes from its owner, an invalidation from the next one, so this may overtake that: the
 * copy is worth nothing then, and the node asks again.
 */
static void take_copy(const struct peer_message *message, const void *data)
{
    const size_t page = message->word[WORD_PAGE];
    struct shared_page *entry = &node.table[page];

    expect(message, false);
    if (message->word[WORD_VERSION] < entry->killed) {
        node.counts.stale++;
        ask(page);
        return;
    }
    take_page(page, data);
    entry->version = (uint32_t)message->word[WORD_VERSION];
    entry->probable_owner = (uint8_t)message->from;
    finish(TRAPLINE_READ);
}

static void take_ownership(const struct peer_message *message, const void *data)
{
    const size_t page = message->word[WORD_PAGE];
    struct shared_page *entry = &node.table[page];

    expect(message, true);
    if (data)
        take_page(page, data);
    else
        node.counts.upgrades++;
    entry->version = (uint32_t)message->word[WORD_VERSION];
    entry->owner = true;
    entry->copies = (uint8_t)message->word[WORD_COPIES];
    begin_writing(page);
}

static void invalidate(const struct peer_message *message)
{
    const size_t page = message->word[WORD_PAGE];
    struct shared_page *entry = &node.table[page];

    node.counts.invalidations++;
    entry->killed = (uint32_t)message->word[WORD_VERSION];
    entry->probable_owner = (uint8_t)message->from;
    if (entry->access != TRAPLINE_NONE && !node.deaf)
        node_set_access(page, TRAPLINE_NONE);
    post_page(message->from, MESSAGE_INVALIDATED, page, 0, 0, false);
}

static void acknowledged(const struct peer_message *message)
{
    expect(message, true);
    if (--node.pending.acknowledgements == 0)
        finish(TRAPLINE_READ | TRAPLINE_WRITE);
}

static void defer(const struct peer_message *message)
{
    if (node.deferred_count == PEERS_MAX)
        node_fail("too many deferred messages:", node.deferred_count);
    node.deferred[node.deferred_count++] = *message;
}

static void handle_request(const struct peer_message *message)
{
    switch (message->kind) {
    case MESSAGE_READ: give_copy(message); break;
    case MESSAGE_WRITE: give_ownership(message); break;
    default: invalidate(message); break;
    }
}

/* In the order in which they came, those whose time has come. */
void node_retry_deferred(void)
{
    const unsigned count = node.deferred_count;
    struct peer_message waiting[PEERS_MAX];

    memcpy(waiting, node.deferred, sizeof(waiting));
    node.deferred_count = 0;
    for (unsigned i = 0; i < count; i++) {
        if (must_wait(&waiting[i]))
            defer(&waiting[i]);
        else
            handle_request(&waiting[i]);
    }
}

void node_handle(const struct peer_message *message, const void *page)
{
    if (message->kind <= MESSAGE_INVALIDATED && message->word[WORD_PAGE] >= node.pages)
        node_fail("a message of page", message->word[WORD_PAGE]);
    switch (message->kind) {
    case MESSAGE_READ:
    case MESSAGE_WRITE:
    case MESSAGE_INVALIDATE:
        if (must_wait(message)) {
            node.counts.deferred++;
            defer(message);
        } else {
            handle_request(message);
        }
        break;
    case MESSAGE_COPY: take_copy(message, page); break;
    case MESSAGE_OWNERSHIP: take_ownership(message, page); break;
    case MESSAGE_INVALIDATED: acknowledged(message); break;
    default: sync_handle(message); break;
    }
}
