/* Works on several vCPUs while other guests end around it. */
#include "threads.h"

enum {
    ROUNDS = 400,
};

static struct barrier meeting;
static atomic_uint sum;

static void work(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        atomic_fetch_add(&sum, 1);
        barrier_wait(&meeting);
    }
}

static void check_work(void)
{
    barrier_init(&meeting, vcpu_count());
    threads_start(work, NULL);
    work(NULL);
    threads_join();
    EXPECT_EQ(atomic_load(&sum), ROUNDS * vcpu_count());
}

static const struct check checks[] = {{"smp-ends: others end", check_work}};

int main(void)
{
    return RUN_CHECKS(checks);
}
