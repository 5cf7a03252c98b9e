#include "hv/screen.h"

#include <string.h>

#include "hv/font.h"

enum {
    TAB_STOP = 8,
    ESCAPE = 0x1b,
    SEQUENCE_FINAL_FIRST = 0x40, /* what ends an ESC [ sequence */
    SEQUENCE_FINAL_LAST = 0x7e,
};

/* Greys look the same in every pixel format. */
enum colour {
    COLOUR_PAPER = 0x00000000,
    COLOUR_INK = 0x00c8c8c8,
};

bool screen_init(struct screen *screen, volatile uint32_t *pixels, uint32_t width, uint32_t height,
                 uint32_t stride)
{
    screen->pixels = pixels;
    screen->stride = stride;
    screen->scale = 1 + (height > 0 ? (height - 1) / SCREEN_TALL : 0);
    screen->columns = width / (FONT_WIDTH * screen->scale);
    screen->rows = height / (FONT_HEIGHT * screen->scale);
    if (screen->columns > SCREEN_MAX_COLUMNS)
        screen->columns = SCREEN_MAX_COLUMNS;
    if (screen->rows > SCREEN_MAX_ROWS)
        screen->rows = SCREEN_MAX_ROWS;
    screen->column = 0;
    screen->row = 0;
    screen->escape = ESCAPE_NONE;
    memset(screen->text, ' ', sizeof(screen->text));
    memset(screen->drawn, ' ', sizeof(screen->drawn));
    if (screen->columns == 0 || screen->rows == 0 || stride < width)
        return false;

    for (uint32_t y = 0; y < height; y++) {
        for (uint32_t x = 0; x < width; x++)
            pixels[(size_t)y * stride + x] = COLOUR_PAPER;
    }
    return true;
}

static void new_line(struct screen *screen)
{
    screen->column = 0;
    if (screen->row + 1 < screen->rows) {
        screen->row++;
        return;
    }
    memmove(screen->text[0], screen->text[1], (screen->rows - 1) * sizeof(screen->text[0]));
    memset(screen->text[screen->rows - 1], ' ', sizeof(screen->text[0]));
}

static void put_visible(struct screen *screen, char character)
{
    if (screen->column == screen->columns)
        new_line(screen);
    screen->text[screen->row][screen->column++] = character;
}

/* Whether the byte belongs to an escape sequence. */
static bool in_escape(struct screen *screen, char character)
{
    switch (screen->escape) {
    case ESCAPE_NONE:
        if (character != ESCAPE)
            return false;
        screen->escape = ESCAPE_STARTED;
        return true;
    case ESCAPE_STARTED:
        screen->escape = character == '[' ? ESCAPE_SEQUENCE : ESCAPE_NONE;
        return true;
    case ESCAPE_SEQUENCE:
        if (character >= SEQUENCE_FINAL_FIRST && character <= SEQUENCE_FINAL_LAST)
            screen->escape = ESCAPE_NONE;
        return true;
    }
    return false;
}

void screen_put(struct screen *screen, char character)
{
    if (in_escape(screen, character))
        return;
    switch (character) {
    case '\n': new_line(screen); break;
    case '\r': screen->column = 0; break;
    case '\b':
        if (screen->column > 0)
            screen->column--;
        break;
    case '\t':
        do
            put_visible(screen, ' ');
        while (screen->column % TAB_STOP);
        break;
    default:
        put_visible(screen, character >= FONT_FIRST && character <= FONT_LAST ? character : '?');
    }
}

static void draw_cell(struct screen *screen, uint32_t row, uint32_t column, char character)
{
    const uint8_t *glyph = font_glyphs[character - FONT_FIRST];
    uint32_t scale = screen->scale;
    volatile uint32_t *line = screen->pixels + (size_t)row * FONT_HEIGHT * scale * screen->stride +
                              (size_t)column * FONT_WIDTH * scale;

    for (uint32_t y = 0; y < FONT_HEIGHT * scale; y++, line += screen->stride) {
        uint8_t bits = glyph[y / scale];
        for (uint32_t x = 0; x < FONT_WIDTH * scale; x++)
            line[x] = bits >> (FONT_WIDTH - 1 - x / scale) & 1 ? COLOUR_INK : COLOUR_PAPER;
    }
}

void screen_show(struct screen *screen)
{
    for (uint32_t row = 0; row < screen->rows; row++) {
        for (uint32_t column = 0; column < screen->columns; column++) {
            char character = screen->text[row][column];
            if (screen->drawn[row][column] == character)
                continue;
            draw_cell(screen, row, column, character);
            screen->drawn[row][column] = character;
        }
    }
}
