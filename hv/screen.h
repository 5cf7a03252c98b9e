/*
 * A text screen in a linear framebuffer of 32-bit pixels. The text lives in memory; showing it
 * draws the cells that differ from what is on the screen, and never reads the framebuffer.
 */
#ifndef TRAPLINE_HV_SCREEN_H
#define TRAPLINE_HV_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SCREEN_MAX_COLUMNS = 320,
    SCREEN_MAX_ROWS = 136,
    SCREEN_TALL = 1600, /* pixels; above, each of the font's pixels becomes several */
};

enum screen_escape {
    ESCAPE_NONE = 0,
    ESCAPE_STARTED,  /* after ESC */
    ESCAPE_SEQUENCE, /* after ESC [ */
};

struct screen {
    volatile uint32_t *pixels; /* the framebuffer, as mapped */
    uint32_t stride;           /* pixels per line */
    uint32_t scale;            /* pixels per pixel of the font, in both directions */
    uint32_t columns;
    uint32_t rows;
    uint32_t column; /* where the next character goes */
    uint32_t row;
    enum screen_escape escape;
    char text[SCREEN_MAX_ROWS][SCREEN_MAX_COLUMNS];
    char drawn[SCREEN_MAX_ROWS][SCREEN_MAX_COLUMNS];
};

/*
 * Begin with an empty, black screen. width, height, stride: pixels. Returns false when not one
 * character fits.
 */
bool screen_init(struct screen *screen, volatile uint32_t *pixels, uint32_t width, uint32_t height,
                 uint32_t stride);

/* Put one byte into the text: printable ASCII, \n, \r, \t, \b; escape sequences vanish. */
void screen_put(struct screen *screen, char character);

/* Draw what has changed. */
void screen_show(struct screen *screen);

#endif
