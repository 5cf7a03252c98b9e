/* The mistakes that the option break seeds. */
#ifndef OVERFLOW_MISTAKE_H
#define OVERFLOW_MISTAKE_H

enum mistake {
    MISTAKE_NONE,
    MISTAKE_GUARD,   /* some collections do not protect the guard page */
    MISTAKE_TOUCH,   /* an object larger than a page is not touched in each of its pages */
    MISTAKE_REDZONE, /* some blocks' pages stay open when they are freed */
    MISTAKE_STRAY,   /* a stray write of the program's own, which nobody expects */
};

#endif
