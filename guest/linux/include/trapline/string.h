/* Memory and string functions, and numbers: the C library's. */
#ifndef TRAPLINE_STRING_H
#define TRAPLINE_STRING_H

#include <stdlib.h>
#include <string.h>

#endif
