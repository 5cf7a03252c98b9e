/* Switching: by VMFUNC and by hypercall, in TRAP handlers, above CPL 0, and to where nothing is. */
#include "except.h"
#include "views.h"
#include "user.h"

/* VMFUNC as it is; the exception that it raises. */
static int function(uint32_t number, uint32_t view)
{
    int vector;

    TRY(vector, "vmfunc", , ARGS("a"(number), "c"(view)));
    return vector;
}

/* A bad function or view is an exception, and the vCPU stays where it is. */
static void check_vmfunc(void)
{
    const bool there = has_feature(TRAPLINE_FEATURE_VMFUNC);
    char *const page = need_pages(1, 1);
    const unsigned view = need_view(), gone = need_view();
    const struct {
        uint32_t function, view;
        int vector;
    } rows[] = {
        {0, gone, VECTOR_GP},     {0, NO_SUCH_VIEW, VECTOR_GP},
        {0, VIEW_MAX, VECTOR_GP}, {0, VIEW_MAX + 1, VECTOR_GP},
        {0, ~0u, VECTOR_GP},      {0, 1u << 31, VECTOR_GP},
        {1, 0, VECTOR_UD},        {1, view, VECTOR_UD},
        {63, 0, VECTOR_UD},       {64, 0, VECTOR_UD},
        {~0u, 0, VECTOR_UD},      {1u << 31, 0, VECTOR_UD},
        {0, view, VECTOR_NONE},
    };

    plant_ret(page, 1);
    EXPECT_EQ(view_destroy(gone), 0);
    EXPECT_EQ(view_prot(view, page, 1, TRAPLINE_READ), 0);
    for (unsigned from = 0; from < 2; from++) {
        for (size_t i = 0; i < COUNT(rows); i++) {
            check_at("VMFUNC %u, view 0x%x", rows[i].function, rows[i].view);
            view_switch(from ? view : 0);
            EXPECT_EQ(function(rows[i].function, rows[i].view), there ? rows[i].vector : VECTOR_UD);
            if (i + 1 < COUNT(rows))
                EXPECT_EQ(allowed(page), from ? TRAPLINE_READ : ACCESS_ALL);
            else if (there)
                EXPECT_EQ(allowed(page), TRAPLINE_READ);
            view_switch(0);
        }
    }
    EXPECT_EQ(view_destroy(view), 0);
    pages_free(page, 1);
}

/* The upper halves of RAX and RCX do not count, and no register changes. */
static void check_vmfunc_registers(void)
{
    const unsigned view = need_view();
    uint64_t a = 0xabcdul << 32, c = 0x1234ul << 32 | view;

    if (has_feature(TRAPLINE_FEATURE_VMFUNC)) {
        __asm__ volatile("vmfunc" : "+a"(a), "+c"(c) : : "memory");
        EXPECT_EQ(a, 0xabcdul << 32);
        EXPECT_EQ(c, 0x1234ul << 32 | view);
        EXPECT_EQ(hypercall2(TRAPLINE_HC_VIEW_SWITCH, 0, 0), view);
    }
    EXPECT_EQ(view_destroy(view), 0);
}

/* CPL 3 switches as well, where VMFUNC is; it makes no hypercalls. */
static void check_user(void)
{
    const unsigned view = need_view();
    unsigned char code[16] = {0x31, 0xc0, 0xb9, (unsigned char)view, 0, 0, 0, 0x0f, 0x01,
                              0xd4, 0x0f, 0x0b}; /* xor eax, eax; mov ecx, view; vmfunc; ud2 */

    user_init();
    user_run(code, sizeof(code), 0, 2);
    EXPECT_EQ(user_end.vector, VECTOR_UD);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_VIEW_SWITCH, 0, 0),
              has_feature(TRAPLINE_FEATURE_VMFUNC) ? view : 0);
    EXPECT_EQ(user_run((const unsigned char[]){0x0f, 0x01, 0xc1, 0x0f, 0x0b}, 5,
                       TRAPLINE_HC_VIEW_CREATE, 2),
              -TRAPLINE_EPERM);
    EXPECT_EQ(view_destroy(view), 0);
}

static struct {
    unsigned view, faults, seen;
    char *page;
} handler_state;

/* A page that is open in view 0 is forbidden in the view: the area says which it was. */
static void note_view(struct trapline_fault *fault)
{
    (void)fault;
    handler_state.seen = trap_area()->eptp_index;
    handler_state.faults++;
    view_prot(handler_state.view, handler_state.page, 1, ACCESS_RW);
}

static void check_index(void)
{
    char *const page = need_pages(1, 1);
    unsigned views[3];

    handler_state.page = page;
    for (unsigned i = 0; i < COUNT(views); i++) {
        views[i] = need_view();
        EXPECT_EQ(view_prot(views[i], page, 1, TRAPLINE_NONE), 0);
    }
    for (unsigned i = 0; i < COUNT(views); i++) {
        handler_state.view = views[i];
        handler_state.faults = 0;
        trap(note_view, 0);
        view_switch(views[i]);
        *(volatile char *)page = 1;
        view_switch(0);
        trap(NULL, 0);
        EXPECT_EQ(handler_state.faults, 1);
        if (view_vmfunc)
            EXPECT_EQ(handler_state.seen, views[i]);
    }
    for (unsigned i = 0; i < COUNT(views); i++)
        EXPECT_EQ(view_destroy(views[i]), 0);
    pages_free(page, 1);
}

/*
 * A collector: the mutator runs in a view in which from-space cannot be touched; the handler fixes
 * each page in view 0 and opens it. Faults nest: fixing meets a page that view 0 protects.
 */
enum {
    HEAP = 40,
    MARK = 0x5a,
};

static struct {
    char *heap;
    unsigned mutator, scanned, nested;
} gc;

static void collect(struct trapline_fault *fault)
{
    char *const page = trap_page(fault);
    const unsigned view = view_enter_full();

    if (fault->depth == 0) {
        EXPECT_EQ(view, gc.mutator);
        EXPECT_EQ(page[0], 0);
        page[0] = MARK; /* page 7 is protected in view 0, too */
        gc.scanned++;
        EXPECT_EQ(view_prot(view, page, 1, ACCESS_RW), 0);
    } else {
        EXPECT_EQ(view, 0);
        gc.nested++;
        EXPECT_EQ(unprot(page), 0);
    }
    view_leave(view);
}

static void check_collector(void)
{
    struct trapline_stats before, after;
    unsigned sum = 0;

    gc.heap = need_pages(HEAP, 1);
    memset(gc.heap, 0, (size_t)HEAP * PAGE);
    gc.mutator = need_view();
    gc.scanned = gc.nested = 0;
    EXPECT_EQ(prot1(gc.heap + 7 * PAGE, TRAPLINE_READ), 0);
    EXPECT_EQ(view_prot(gc.mutator, gc.heap, HEAP, TRAPLINE_NONE), 0);
    trap(collect, 0);
    before = counters();
    view_switch(gc.mutator);
    for (unsigned i = 0; i < 4 * HEAP; i++)
        sum += (unsigned)((volatile char *)gc.heap)[i * 11 % HEAP * PAGE] == MARK;
    view_switch(0);
    after = counters();
    trap(NULL, 0);
    EXPECT_EQ(sum, 4 * HEAP);
    EXPECT_EQ(gc.scanned, HEAP);
    EXPECT_EQ(gc.nested, 1);
    /* Opening a page is an exit; the switches are none, and the trap is none where #VE is. */
    if (has_feature(TRAPLINE_FEATURE_VE) && view_vmfunc)
        EXPECT(after.exits - before.exits <= HEAP + 20);
    EXPECT_EQ(view_destroy(gc.mutator), 0);
    pages_free(gc.heap, HEAP);
}

static const struct check checks[] = {
    {"views: VMFUNC to where nothing is", check_vmfunc},
    {"views: VMFUNC and registers", check_vmfunc_registers},
    {"views: CPL 3", check_user},
    {"views: the trap area tells the view", check_index},
    {"views: a collector", check_collector},
};

int main(void)
{
    except_init();
    return RUN_CHECKS(checks);
}
