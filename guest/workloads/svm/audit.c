/*
 * The invariants of the protocol, looked at while nobody uses the space: each page has one owner,
 * whose copy set has all nodes that may read the page; who may write is the owner and alone; all
 * copies are equal; and every hint leads to the owner.
 */
#include "guest/workloads/svm/node.h"

enum {
    COMPLAINTS = 5, /* that are printed */
};

/* What a node tells of a page. */
struct view {
    uint8_t access, owner, copies, probable_owner;
    uint32_t checksum; /* of what it can read */
};

size_t svm_audit_bytes(void)
{
    return node.count * node.pages * sizeof(struct view);
}

/* Fowler, Noll and Vo's hash, a word at a time. */
static uint32_t checksum(const uint32_t *page)
{
    uint32_t sum = 2166136261u;

    for (size_t i = 0; i < TRAPLINE_PAGE_SIZE / sizeof(*page); i++)
        sum = (sum ^ page[i]) * 16777619u;
    return sum;
}

static void look(struct view *views)
{
    for (size_t i = 0; i < node.pages; i++) {
        const struct shared_page *entry = &node.table[i];

        views[i] = (struct view){.access = entry->access,
                                 .owner = entry->owner,
                                 .copies = entry->copies,
                                 .probable_owner = entry->probable_owner};
        if (entry->access != TRAPLINE_NONE)
            views[i].checksum = checksum(node_alias(i));
    }
}

static const struct view *view_of(const struct view *views, unsigned who, size_t page)
{
    return &views[who * node.pages + page];
}

static bool leads_to(const struct view *views, unsigned from, unsigned owner, size_t page)
{
    for (unsigned step = 0; step < node.count && from != owner; step++)
        from = view_of(views, from, page)->probable_owner % node.count;
    return from == owner;
}

/* What is wrong with a page at a node that does not own it, or NULL. */
static const char *check_other(const struct view *views, unsigned who, unsigned owner, size_t page)
{
    const struct view *view = view_of(views, who, page), *own = view_of(views, owner, page);

    if (view->access & TRAPLINE_WRITE)
        return "may be written by one that does not own it";
    if (view->access && own->access & TRAPLINE_WRITE)
        return "is readable while its owner writes";
    if (view->access && !(own->copies & 1u << who))
        return "is readable by one that the owner does not know of";
    if (view->access && view->checksum != own->checksum)
        return "differs from the owner's";
    return leads_to(views, who, owner, page) ? NULL : "has a hint that leads nowhere";
}

static const char *check_page(const struct view *views, size_t page, unsigned *who)
{
    unsigned owners = 0, owner = 0;

    for (*who = 0; *who < node.count; ++*who) {
        if (view_of(views, *who, page)->owner) {
            owners++;
            owner = *who;
        }
    }
    *who = owner;
    if (owners != 1)
        return owners ? "has several owners" : "has no owner";
    if (!(view_of(views, owner, page)->access & TRAPLINE_READ))
        return "cannot be read by its owner";
    for (*who = 0; *who < node.count; ++*who) {
        const char *wrong = *who == owner ? NULL : check_other(views, *who, owner, page);

        if (wrong)
            return wrong;
    }
    return NULL;
}

static bool judge(const struct view *views)
{
    unsigned wrong = 0;

    for (size_t i = 0; i < node.pages; i++) {
        unsigned who;
        const char *complaint = check_page(views, i, &who);

        if (complaint && wrong++ < COMPLAINTS)
            printf("svm: page %lu at node %u: %s\n", (unsigned long)i, who, complaint);
    }
    if (wrong)
        printf("svm: the tables of the nodes disagree about %u of %lu pages\n", wrong,
               (unsigned long)node.pages);
    return wrong == 0;
}

bool svm_audit(void *scratch)
{
    struct view *views = scratch, *own = calloc(node.pages, sizeof(*own));
    bool right = true;

    if (!own)
        node_fail("no memory for the tables of pages", node.pages);
    svm_barrier();
    look(own);
    svm_barrier();
    memcpy(views + node.self * node.pages, own, node.pages * sizeof(*own));
    free(own);
    svm_barrier();
    if (node.self == 0)
        right = judge(views);
    svm_barrier();
    return right;
}
