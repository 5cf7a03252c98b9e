#include "guest/linux/bench/key.h"

#include <sys/mman.h>

#include "guest/workloads/bench/harness.h"

enum {
    KEY_BITS = 2, /* of PKRU for each key: SDM 4.6.2 */
    KEY_FORBIDS = PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE,
};

static int key = -1;
static uint32_t forbidding, allowing; /* PKRU */

static uint32_t pkru_read(void)
{
    uint32_t value, zero;

    __asm__ volatile("rdpkru" : "=a"(value), "=d"(zero) : "c"(0));
    return value;
}

static void pkru_write(uint32_t value)
{
    __asm__ volatile("wrpkru" : : "a"(value), "c"(0), "d"(0) : "memory");
}

bool key_begin(void)
{
    static bool said;

    key = pkey_alloc(0, 0);
    if (key < 0) {
        if (!said)
            printf("bench: rows of mode pkey left out: the CPU or the kernel has no protection "
                   "keys\n");
        said = true;
        return false;
    }
    allowing = pkru_read() & ~((uint32_t)KEY_FORBIDS << KEY_BITS * key);
    forbidding = allowing | (uint32_t)KEY_FORBIDS << KEY_BITS * key;
    return true;
}

bool key_attach(char *page, size_t pages)
{
    return pkey_mprotect(page, pages * PAGE, PROT_READ | PROT_WRITE, key) == 0;
}

void key_forbid(void *unused)
{
    (void)unused;
    pkru_write(forbidding);
}

void key_allow(void *unused)
{
    (void)unused;
    pkru_write(allowing);
}

void key_end(void)
{
    pkey_free(key);
}
