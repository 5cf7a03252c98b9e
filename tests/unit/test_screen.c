/* The text screen on a framebuffer in ordinary memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/font.h"
#include "hv/screen.h"

enum {
    COLUMNS = 10,
    ROWS = 4,
    WIDTH = COLUMNS * FONT_WIDTH + 3, /* not a whole number of cells */
    HEIGHT = ROWS * FONT_HEIGHT + 5,
    STRIDE = WIDTH + 7,
    POISON = 0x5a5a5a5a,
};

struct fixture {
    struct screen screen;
    uint32_t pixels[HEIGHT * STRIDE];
};

static int set_up(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    for (size_t i = 0; i < HEIGHT * STRIDE; i++)
        f->pixels[i] = POISON;
    assert_true(screen_init(&f->screen, f->pixels, WIDTH, HEIGHT, STRIDE));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static void put(struct fixture *f, const char *text)
{
    while (*text)
        screen_put(&f->screen, *text++);
}

/* Read the character of a cell back from the pixels; 0 = no glyph looks like that. */
static char read_cell(const struct fixture *f, unsigned row, unsigned column)
{
    for (unsigned g = 0; g < FONT_GLYPHS; g++) {
        bool same = true;
        for (unsigned y = 0; y < FONT_HEIGHT && same; y++) {
            for (unsigned x = 0; x < FONT_WIDTH; x++) {
                bool ink = f->pixels[(row * FONT_HEIGHT + y) * STRIDE + column * FONT_WIDTH + x];
                if (ink != (bool)(font_glyphs[g][y] >> (FONT_WIDTH - 1 - x) & 1))
                    same = false;
            }
        }
        if (same)
            return (char)(FONT_FIRST + g);
    }
    return 0;
}

static void expect_row(struct fixture *f, unsigned row, const char *text)
{
    char seen[COLUMNS + 1] = {0}, wanted[COLUMNS + 1] = {0};

    screen_show(&f->screen);
    for (unsigned c = 0; c < COLUMNS; c++)
        seen[c] = read_cell(f, row, c);
    memset(wanted, ' ', COLUMNS);
    memcpy(wanted, text, strlen(text));
    assert_string_equal(seen, wanted);
}

static void test_begins_black(void **state)
{
    struct fixture *f = *state;

    for (unsigned y = 0; y < HEIGHT; y++) {
        for (unsigned x = 0; x < STRIDE; x++)
            assert_int_equal(f->pixels[y * STRIDE + x], x < WIDTH ? 0 : POISON);
    }
    assert_int_equal(f->screen.columns, COLUMNS);
    assert_int_equal(f->screen.rows, ROWS);
    assert_int_equal(f->screen.scale, 1);
}

static void test_lines(void **state)
{
    struct fixture *f = *state;

    put(f, "one\ntwo");
    expect_row(f, 0, "one");
    expect_row(f, 1, "two");
    expect_row(f, 2, "");
}

static void test_wraps_late(void **state)
{
    struct fixture *f = *state;

    put(f, "0123456789\nab");
    expect_row(f, 0, "0123456789");
    expect_row(f, 1, "ab");
    put(f, "\n0123456789x");
    expect_row(f, 2, "0123456789");
    expect_row(f, 3, "x");
}

static void test_scrolls(void **state)
{
    struct fixture *f = *state;

    put(f, "a\nb\nc\nd");
    expect_row(f, 3, "d");
    put(f, "\nef");
    expect_row(f, 0, "b");
    expect_row(f, 1, "c");
    expect_row(f, 2, "d");
    expect_row(f, 3, "ef");
    put(f, "\n1\n2\n3\n4\n5");
    expect_row(f, 0, "2");
    expect_row(f, 3, "5");
}

static void test_control_characters(void **state)
{
    struct fixture *f = *state;

    put(f, "abc\rX\n\tY\nab\bZ\n\b\b1");
    expect_row(f, 0, "Xbc");
    expect_row(f, 1, "        Y");
    expect_row(f, 2, "aZ");
    expect_row(f, 3, "1");
}

static void test_escapes_vanish(void **state)
{
    struct fixture *f = *state;

    put(f, "a\033[1;31mb\033[0mc\033(d\033[2Je");
    expect_row(f, 0, "abcde");
}

static void test_unprintable(void **state)
{
    struct fixture *f = *state;

    put(f, "\x01\x7f\x80\xff");
    expect_row(f, 0, "????");
}

/* Only cells that differ are drawn, and nothing outside the cells. */
static void test_draws_changes_only(void **state)
{
    struct fixture *f = *state;

    put(f, "same\nold");
    screen_show(&f->screen);
    for (size_t i = 0; i < HEIGHT * STRIDE; i++)
        f->pixels[i] = POISON;
    put(f, "\rnlx");
    screen_show(&f->screen);
    for (unsigned y = 0; y < HEIGHT; y++) {
        for (unsigned x = 0; x < STRIDE; x++) {
            unsigned row = y / FONT_HEIGHT, column = x / FONT_WIDTH;
            bool changed = row == 1 && (column == 0 || column == 2);
            assert_int_equal(f->pixels[y * STRIDE + x] == POISON, !changed);
        }
    }
}

static void test_scale(void **state)
{
    (void)state;
    enum {
        W = 32,
        H = SCREEN_TALL + 1
    };
    struct screen *screen = malloc(sizeof(*screen));
    uint32_t *pixels = malloc(sizeof(*pixels) * W * H);

    assert_true(screen_init(screen, pixels, W, H, W));
    assert_int_equal(screen->scale, 2);
    assert_int_equal(screen->columns, 2);
    screen_put(screen, 'L');
    screen_show(screen);
    for (unsigned y = 0; y < FONT_HEIGHT * 2; y++) {
        for (unsigned x = 0; x < FONT_WIDTH * 2; x++) {
            bool ink = font_glyphs['L' - FONT_FIRST][y / 2] >> (FONT_WIDTH - 1 - x / 2) & 1;
            assert_int_equal(pixels[y * W + x] != 0, ink);
        }
    }
    free(pixels);
    free(screen);
}

static void test_refuses_unusable(void **state)
{
    (void)state;
    struct screen *screen = malloc(sizeof(*screen));
    uint32_t pixels[64];

    assert_false(screen_init(screen, pixels, 0, 0, 0));
    assert_false(screen_init(screen, pixels, FONT_WIDTH - 1, FONT_HEIGHT, FONT_WIDTH));
    assert_false(screen_init(screen, pixels, 64, 16, 8));
    free(screen);
}

/* Larger than the text memory: what does not fit stays black. */
static void test_huge(void **state)
{
    (void)state;
    enum {
        W = (SCREEN_MAX_COLUMNS + 4) * FONT_WIDTH,
        H = 64
    };
    struct screen *screen = malloc(sizeof(*screen));
    uint32_t *pixels = malloc(sizeof(*pixels) * W * H);

    assert_true(screen_init(screen, pixels, W, H, W));
    assert_int_equal(screen->columns, SCREEN_MAX_COLUMNS);
    for (unsigned i = 0; i < 5 * SCREEN_MAX_COLUMNS; i++)
        screen_put(screen, '#');
    screen_show(screen);
    for (unsigned x = SCREEN_MAX_COLUMNS * FONT_WIDTH; x < W; x++)
        assert_int_equal(pixels[x], 0);
    free(pixels);
    free(screen);
}

#define ON_SMALL_SCREEN(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_SMALL_SCREEN(test_begins_black),
        ON_SMALL_SCREEN(test_lines),
        ON_SMALL_SCREEN(test_wraps_late),
        ON_SMALL_SCREEN(test_scrolls),
        ON_SMALL_SCREEN(test_control_characters),
        ON_SMALL_SCREEN(test_escapes_vanish),
        ON_SMALL_SCREEN(test_unprintable),
        ON_SMALL_SCREEN(test_draws_changes_only),
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_refuses_unusable),
        cmocka_unit_test(test_huge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
