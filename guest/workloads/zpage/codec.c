#include "guest/workloads/zpage/codec.h"

#include <lz4.h>
#include <trapline/portable.h>

static void *state;
static int speed;

bool codec_open(unsigned acceleration)
{
    speed = (int)acceleration;
    state = malloc((size_t)LZ4_sizeofState());
    return state;
}

void codec_close(void)
{
    free(state);
    state = NULL;
}

size_t codec_compress(const void *page, void *to, size_t capacity)
{
    return (size_t)LZ4_compress_fast_extState(state, page, to, TRAPLINE_PAGE_SIZE, (int)capacity,
                                              speed);
}

bool codec_expand(const void *from, size_t bytes, void *page)
{
    return LZ4_decompress_safe(from, page, (int)bytes, TRAPLINE_PAGE_SIZE) == TRAPLINE_PAGE_SIZE;
}
