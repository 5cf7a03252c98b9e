#include "guest/workloads/store/table.h"

enum {
    ENTRIES_PER_BUCKET = 2,
    NONE = 0, /* entries are counted from 1 */
};

#define TABLE_MAGIC 0x656c626174504c54ull

struct table_root {
    uint64_t magic;
    uint64_t entries;
    uint64_t buckets;
    uint32_t free;
};

struct table_entry {
    uint32_t next;
    uint64_t key;
    uint64_t value[TABLE_WORDS];
};

static uint64_t bucket_count(uint64_t entries)
{
    return (entries + ENTRIES_PER_BUCKET - 1) / ENTRIES_PER_BUCKET;
}

static uint64_t bytes_to_pages(uint64_t bytes)
{
    return (bytes + TRAPLINE_PAGE_SIZE - 1) / TRAPLINE_PAGE_SIZE;
}

static uint64_t bucket_pages(uint64_t entries)
{
    return bytes_to_pages(bucket_count(entries) * sizeof(uint32_t));
}

uint64_t table_pages(uint64_t entries)
{
    return 1 + bucket_pages(entries) + bytes_to_pages(entries * sizeof(struct table_entry));
}

void table_open(struct table *table, struct store *store, uint64_t entries)
{
    char *const base = store_base(store);

    *table = (struct table){
        .store = store,
        .root = (struct table_root *)base,
        .buckets = (uint32_t *)(base + TRAPLINE_PAGE_SIZE),
        .entries = (struct table_entry *)(base + (1 + bucket_pages(entries)) * TRAPLINE_PAGE_SIZE),
    };
}

static void set_link(const struct table *table, uint32_t *link, uint32_t to)
{
    store_will_write(table->store, link);
    *link = to;
}

static struct table_entry *entry_at(const struct table *table, uint32_t at)
{
    return &table->entries[at - 1];
}

static uint32_t *bucket_of(const struct table *table, uint64_t key)
{
    return &table->buckets[(key * 0x9e3779b97f4a7c15ull >> 32) % table->root->buckets];
}

/* The link that leads to the key's entry, or to the end of its chain. */
static uint32_t *find(const struct table *table, uint64_t key)
{
    uint32_t *link = bucket_of(table, key);

    while (*link != NONE && entry_at(table, *link)->key != key)
        link = &entry_at(table, *link)->next;
    return link;
}

bool table_exists(const struct table *table)
{
    return table->root->magic == TABLE_MAGIC;
}

void table_format(struct table *table, uint64_t entries)
{
    store_will_write(table->store, table->root);
    *table->root = (struct table_root){TABLE_MAGIC, entries, bucket_count(entries), 1};
    for (uint32_t at = 1; at <= entries; at++)
        set_link(table, &entry_at(table, at)->next, at < entries ? at + 1 : NONE);
}

bool table_put(struct table *table, uint64_t key, const uint64_t *value)
{
    uint32_t *link = find(table, key);
    struct table_entry *entry;
    uint32_t at = *link;

    if (at == NONE) {
        at = table->root->free;
        if (at == NONE)
            return false;
        set_link(table, &table->root->free, entry_at(table, at)->next);
        set_link(table, &entry_at(table, at)->next, NONE);
        set_link(table, link, at);
    }
    entry = entry_at(table, at);
    store_will_write(table->store, entry);
    entry->key = key;
    memcpy(entry->value, value, sizeof(entry->value));
    return true;
}

bool table_delete(struct table *table, uint64_t key)
{
    uint32_t *const link = find(table, key);
    const uint32_t at = *link;

    if (at == NONE)
        return false;
    set_link(table, link, entry_at(table, at)->next);
    set_link(table, &entry_at(table, at)->next, table->root->free);
    set_link(table, &table->root->free, at);
    return true;
}

const uint64_t *table_get(const struct table *table, uint64_t key)
{
    const uint32_t at = *find(table, key);

    return at == NONE ? NULL : entry_at(table, at)->value;
}

/* Entries in a chain, or UINT64_MAX when it is no chain or one of them was seen before. */
static uint64_t walk(const struct table *table, uint32_t at, bool *seen)
{
    uint64_t count = 0;

    for (; at != NONE; at = entry_at(table, at)->next, count++) {
        if (at > table->root->entries || seen[at - 1])
            return UINT64_MAX;
        seen[at - 1] = true;
    }
    return count;
}

bool table_check(const struct table *table, uint64_t *used)
{
    bool *const seen = calloc(table->root->entries, sizeof(*seen));
    uint64_t left = walk(table, table->root->free, seen);
    bool good = left != UINT64_MAX;

    assert(seen);
    *used = 0;
    for (uint64_t i = 0; good && i < table->root->buckets; i++) {
        const uint64_t count = walk(table, table->buckets[i], seen);

        good = count != UINT64_MAX;
        *used += count;
    }
    free(seen);
    return good && *used + left == table->root->entries;
}
