/* Offers a page to "right" and ends as soon as that one has seen it. */
#include "shared.h"

int main(void)
{
    unsigned char *page = pages_alloc(1, 1);
    int channel;

    fill(page, 77);
    channel = channel_offer("right", page, 1, ACCESS_RW);
    CHECK("an offer", channel >= 0);
    park(); /* until it is accepted ... */
    park(); /* ... and until right rings */
    return check_done();
}
