/* The guest's heap and page allocator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/runtime/heap.h"
#include "guest/runtime/pages.h"

enum {
    MEMORY = 1 << 20,
    BLOCKS = 200,
    STEPS = 200000,
    PAGES = 1000,
};

static void *memory;

static int setup(void **state)
{
    (void)state;
    memory = malloc(MEMORY);
    return memory ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

static struct heap heap;

static int whole_heap(void **state)
{
    (void)state;
    memset(&heap, 0, sizeof(heap));
    return heap_add(&heap, memory, MEMORY) ? 0 : -1;
}

/* The largest block that can be had, by trying. */
static size_t largest(void)
{
    size_t low = 0, high = MEMORY;

    while (low < high) {
        const size_t middle = (low + high + 1) / 2;
        void *const block = heap_alloc(&heap, middle, HEAP_ALIGN);

        if (block) {
            assert_true(heap_free(&heap, block));
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

static void test_alloc_and_free(void **state)
{
    const size_t all = largest();
    char *a, *b, *c;

    (void)state;
    assert_true(all >= MEMORY - HEAP_OVERHEAD);
    a = heap_alloc(&heap, 100, HEAP_ALIGN);
    b = heap_alloc(&heap, 0, HEAP_ALIGN);
    c = heap_alloc(&heap, 1, HEAP_ALIGN);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_true(heap_usable(a) >= 100);
    assert_int_equal((uintptr_t)a % HEAP_ALIGN, 0);
    assert_int_equal((uintptr_t)c % HEAP_ALIGN, 0);
    memset(a, 1, heap_usable(a));
    memset(c, 2, heap_usable(c));

    /* Each order of neighbours coming together again. */
    assert_true(heap_free(&heap, b));
    assert_true(heap_free(&heap, a));
    assert_true(heap_free(&heap, c));
    assert_int_equal(largest(), all);
}

static void test_misuse_is_seen(void **state)
{
    char *const a = heap_alloc(&heap, 64, HEAP_ALIGN), *const b = heap_alloc(&heap, 64, HEAP_ALIGN);

    (void)state;
    assert_false(heap_free(&heap, a + 1));
    assert_true(heap_free(&heap, b));
    assert_false(heap_free(&heap, b));
    assert_true(heap_free(&heap, a));
    assert_false(heap_free(&heap, a));
}

static void test_overrun_is_seen(void **state)
{
    char *const a = heap_alloc(&heap, 64, HEAP_ALIGN);

    (void)state;
    memset(a, 0x55, heap_usable(a) + 8);
    assert_false(heap_free(&heap, a));
}

static void test_impossible_requests(void **state)
{

    (void)state;
    assert_null(heap_alloc(&heap, MEMORY, HEAP_ALIGN));
    assert_null(heap_alloc(&heap, SIZE_MAX, HEAP_ALIGN));
    assert_null(heap_alloc(&heap, SIZE_MAX - 8, HEAP_ALIGN));
    assert_null(heap_alloc(&heap, 8, 0));
    assert_null(heap_alloc(&heap, 8, 24));
    assert_null(heap_alloc(&heap, 8, SIZE_MAX / 2 + 1));
    assert_false(heap_add(&heap, memory, 40));
}

static void test_alignment(void **state)
{
    const size_t all = largest();
    void *blocks[BLOCKS];
    size_t count = 0;

    (void)state;
    for (size_t align = 1; align <= 4096; align *= 2) {
        for (size_t size = 1; size < 5000; size = size * 7 + 1) {
            void *const block = heap_alloc(&heap, size, align);

            assert_non_null(block);
            assert_int_equal((uintptr_t)block % align, 0);
            memset(block, 0xaa, size);
            blocks[count++] = block;
        }
    }
    while (count)
        assert_true(heap_free(&heap, blocks[--count]));
    assert_int_equal(largest(), all);
}

static void test_two_pieces(void **state)
{
    char *const second = (char *)memory + MEMORY / 2;
    void *a, *b;

    (void)state;
    memset(&heap, 0, sizeof(heap));
    assert_true(heap_add(&heap, memory, MEMORY / 2 - 4096));
    assert_null(heap_alloc(&heap, MEMORY / 2, HEAP_ALIGN));
    assert_true(heap_add(&heap, second, MEMORY / 2));
    a = heap_alloc(&heap, MEMORY / 2 - HEAP_OVERHEAD, HEAP_ALIGN);
    b = heap_alloc(&heap, MEMORY / 2 - 4096 - HEAP_OVERHEAD, HEAP_ALIGN);
    assert_non_null(a);
    assert_non_null(b);
    assert_true(heap_free(&heap, a));
    assert_true(heap_free(&heap, b));
    /* Pieces are never joined, even though the heap may hold both. */
    assert_null(heap_alloc(&heap, MEMORY / 2, HEAP_ALIGN));
}

/* Random use; each block holds a pattern of its own that nobody else may change. */
static void test_random(void **state)
{
    const size_t all = largest();
    static struct {
        unsigned char *block;
        size_t size;
        unsigned char pattern;
    } blocks[BLOCKS];

    (void)state;
    srand(1);
    memset(blocks, 0, sizeof(blocks));
    for (int step = 0; step < STEPS; step++) {
        const int i = rand() % BLOCKS;

        if (blocks[i].block) {
            for (size_t k = 0; k < blocks[i].size; k++)
                assert_int_equal(blocks[i].block[k], blocks[i].pattern);
            assert_true(heap_free(&heap, blocks[i].block));
            blocks[i].block = NULL;
        } else {
            blocks[i].size = (size_t)rand() % (rand() % 20 ? 300 : 20000);
            blocks[i].pattern = (unsigned char)rand();
            blocks[i].block = heap_alloc(&heap, blocks[i].size, (size_t)16 << rand() % 4);
            if (blocks[i].block)
                memset(blocks[i].block, blocks[i].pattern, blocks[i].size);
        }
    }
    for (int i = 0; i < BLOCKS; i++)
        if (blocks[i].block)
            assert_true(heap_free(&heap, blocks[i].block));
    assert_int_equal(largest(), all);
}

static void test_pages(void **state)
{
    uint64_t map[(PAGES + 63) / 64];
    struct pages pages;
    size_t first, second;

    (void)state;
    assert_int_equal(pages_map_bytes(PAGES), sizeof(map));
    pages_init(&pages, map, PAGES);
    assert_false(pages_take(&pages, 1, 1, &first));
    assert_true(pages_release(&pages, 1, PAGES - 1));
    assert_int_equal(pages.available, PAGES - 1);
    assert_true(pages_take(&pages, 1, 1, &first));
    assert_int_equal(first, 1);
    assert_true(pages_take(&pages, 512, 256, &second));
    assert_int_equal(second, 256);
    assert_false(pages_take(&pages, 512, 1, &first));
    assert_true(pages_take(&pages, PAGES - 768, 1, &first));
    assert_int_equal(first, 2);
    assert_int_equal(pages.available, PAGES - 1 - 1 - 512 - (PAGES - 768));
    assert_false(pages_take(&pages, 0, 1, &first));
    assert_false(pages_take(&pages, 1, 3, &first));
    assert_false(pages_take(&pages, 1, 0, &first));
    assert_false(pages_take(&pages, 1, SIZE_MAX / 2 + 1, &first));

    /* What is free, or outside, cannot be given back. */
    assert_false(pages_release(&pages, PAGES - 1, 1));
    assert_false(pages_release(&pages, 256, PAGES));
    assert_false(pages_release(&pages, SIZE_MAX, 2));
    assert_true(pages_release(&pages, 256, 512));
    assert_false(pages_release(&pages, 300, 1));
}

/* Against an array of flags: what is taken was free, and a refusal means that there is no place. */
static void test_pages_random(void **state)
{
    uint64_t map[(PAGES + 63) / 64];
    static unsigned char used[PAGES];
    struct pages pages;

    (void)state;
    srand(2);
    memset(used, 1, sizeof(used));
    pages_init(&pages, map, PAGES);
    for (int step = 0; step < 20000; step++) {
        const size_t count = 1 + (size_t)rand() % 60, align = (size_t)1 << rand() % 7;
        size_t first, place = PAGES, available = 0;

        if (rand() % 2) {
            bool good;

            first = (size_t)rand() % PAGES;
            good = first + count <= PAGES;
            for (size_t i = first; good && i < first + count; i++)
                good = used[i];
            assert_int_equal(pages_release(&pages, first, count), good);
            if (good)
                memset(used + first, 0, count);
        } else {
            for (size_t start = 0; start + count <= PAGES && place == PAGES; start += align)
                if (!memchr(used + start, 1, count))
                    place = start;
            assert_int_equal(pages_take(&pages, count, align, &first), place < PAGES);
            if (place < PAGES) {
                assert_int_equal(first, place);
                memset(used + first, 1, count);
            }
        }
        for (size_t i = 0; i < PAGES; i++)
            available += !used[i];
        assert_int_equal(pages.available, available);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_alloc_and_free, whole_heap),
        cmocka_unit_test_setup(test_misuse_is_seen, whole_heap),
        cmocka_unit_test_setup(test_overrun_is_seen, whole_heap),
        cmocka_unit_test_setup(test_impossible_requests, whole_heap),
        cmocka_unit_test_setup(test_alignment, whole_heap),
        cmocka_unit_test(test_two_pieces),
        cmocka_unit_test_setup(test_random, whole_heap),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_pages_random),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
