/* Memory: the C library's heap, and whole pages for use with the primitives. */
#ifndef TRAPLINE_MEMORY_H
#define TRAPLINE_MEMORY_H

#include <stdlib.h>

#include <trapline/pages.h>

#endif
