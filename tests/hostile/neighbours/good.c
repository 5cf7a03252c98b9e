/* A guest among bad ones: its results are as if it were alone. */
#include "worker.h"

enum {
    RUNS = 6
};

int main(void)
{
    char *page = pages_alloc(1, 1);
    unsigned wrong = 0;

    CHECK("the memory is fresh", worker_takes_fresh_memory());
    worker_sign(page);
    worker_start();
    for (unsigned run = 1; run <= RUNS; run++)
        wrong += worker_run(run) != worker_expected(run);
    CHECK_EQUAL("all checksums", wrong, 0);
    CHECK("the memory is its own", worker_is_signed(page));
    return check_done();
}
