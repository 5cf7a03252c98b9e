/* The screen console's font: printable ASCII, one byte a line, most significant bit on the left. */
#ifndef TRAPLINE_HV_FONT_H
#define TRAPLINE_HV_FONT_H

#include <stdint.h>

enum {
    FONT_WIDTH = 8, /* pixels */
    FONT_HEIGHT = 16,
    FONT_FIRST = 0x20, /* character codes */
    FONT_LAST = 0x7e,
    FONT_GLYPHS = FONT_LAST - FONT_FIRST + 1,
};

extern const uint8_t font_glyphs[FONT_GLYPHS][FONT_HEIGHT];

#endif
