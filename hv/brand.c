#include "hv/brand.h"

#include <stddef.h>
#include <string.h>

#include "vmx/cpuid.h"

enum version {
    VERSION_STEPPING = 0xf,
    VERSION_MODEL_SHIFT = 4,
    VERSION_FAMILY_SHIFT = 8,
    VERSION_NIBBLE = 0xf,
    VERSION_MORE_MODEL_SHIFT = 16,
    VERSION_MORE_FAMILY_SHIFT = 20,
    VERSION_MORE_FAMILY = 0xff,
    FAMILY_6 = 0x6,
    FAMILY_MORE = 0xf,
};

enum {
    BRAND_LEAVES = 3,
    LEAF_BYTES = 16,
};

static void read_version(uint32_t version, struct brand *brand)
{
    const unsigned family = version >> VERSION_FAMILY_SHIFT & VERSION_NIBBLE;

    brand->stepping = version & VERSION_STEPPING;
    brand->model = version >> VERSION_MODEL_SHIFT & VERSION_NIBBLE;
    brand->family = family;
    if (family == FAMILY_MORE)
        brand->family += version >> VERSION_MORE_FAMILY_SHIFT & VERSION_MORE_FAMILY;
    if (family == FAMILY_6 || family == FAMILY_MORE)
        brand->model |= (version >> VERSION_MORE_MODEL_SHIFT & VERSION_NIBBLE)
                        << VERSION_MODEL_SHIFT;
}

/* Printable text only: it goes to a console. */
static void copy_name(const char *told, char *name)
{
    size_t length = 0;

    for (size_t i = 0; i < BRAND_BYTES - 1 && told[i]; i++) {
        const char c = told[i] >= ' ' && told[i] <= '~' ? told[i] : '?';

        if (c != ' ' || length > 0)
            name[length++] = c;
    }
    while (length > 0 && name[length - 1] == ' ')
        length--;
    name[length] = '\0';
}

void brand_read(struct cpuid_regs (*raw)(uint32_t leaf, uint32_t subleaf), struct brand *brand)
{
    char told[BRAND_LEAVES * LEAF_BYTES + 1] = "";

    read_version(raw(CPUID_LEAF_FEATURES, 0).eax, brand);
    if (raw(CPUID_LEAF_EXTENDED, 0).eax >= CPUID_LEAF_BRAND + BRAND_LEAVES - 1) {
        for (uint32_t i = 0; i < BRAND_LEAVES; i++) {
            const struct cpuid_regs r = raw(CPUID_LEAF_BRAND + i, 0);

            memcpy(told + i * LEAF_BYTES, (const uint32_t[]){r.eax, r.ebx, r.ecx, r.edx},
                   LEAF_BYTES);
        }
    }
    copy_name(told, brand->name);
    if (!brand->name[0])
        memcpy(brand->name, "unknown", sizeof("unknown"));
}
