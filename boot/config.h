/*
 * The configuration file, trapline.conf: `key = value` lines, `#` comments, a `[guest NAME]`
 * section for each guest. Pure: works on a byte buffer and knows nothing of files.
 */
#ifndef TRAPLINE_BOOT_CONFIG_H
#define TRAPLINE_BOOT_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "boot/handover.h"

enum {
    CONFIG_PATH_LEN = 128,
    CONFIG_ERROR_LEN = 256,
    CONFIG_MAX_REPEAT = 1000000,
    CONFIG_DEBUG_PORT_AUTO = -1, /* use the emulators' debug port where it answers */
    CONFIG_DEBUG_PORT = 0xe9,
    CONFIG_DEFAULT_BAUD = 115200,
};

#define CONFIG_MEMORY_UNIT    (2ull << 20) /* guest memory is a multiple of this */
#define CONFIG_MEMORY_MIN     (8ull << 20)
#define CONFIG_MEMORY_MAX     (64ull << 40) /* what four levels of tables and any CPU could map */
#define CONFIG_MEMORY_DEFAULT (64ull << 20)

struct config_guest {
    char name[HANDOVER_NAME_LEN];
    char args[HANDOVER_ARGS_LEN];
    char image[CONFIG_PATH_LEN]; /* from the volume's root, separated by backslashes */
    uint64_t memory;             /* bytes, multiple of 2 MiB */
    uint64_t tables;        /* bytes for EPT tables, multiple of 4 KiB, 0 = by the memory's size */
    uint64_t time_limit_ms; /* 0 = none */
    uint32_t vcpus;
    uint32_t interrupts; /* enum handover_interrupts */
    uint32_t disk;       /* enum handover_disk; no two guests have the same */
    uint32_t repeat;     /* how many times it runs, at least 1 */
    uint32_t cpu_count;  /* of cpus; 0 = the CPUs that run guests, in turn */
    uint16_t cpus[HANDOVER_MAX_VCPUS];
    uint32_t line; /* of the section's heading */
};

struct config {
    uint32_t on_exit;     /* enum handover_on_exit */
    uint32_t disable;     /* enum handover_disable */
    uint32_t selftest;    /* enum handover_selftest */
    uint32_t measure;     /* enum handover_measure */
    uint32_t serial_port; /* 0 = none */
    uint32_t serial_baud; /* bits per second, divides 115200 */
    int32_t debug_port;   /* an I/O port, 0 = none, CONFIG_DEBUG_PORT_AUTO */
    uint32_t guest_count;
    struct config_guest guests[HANDOVER_MAX_GUESTS];
};

/*
 * Read a configuration of size bytes. A section with copies = n becomes n guests. Lines may end in
 * LF or CR LF, the last one in nothing; an UTF-8 byte order mark at the start is skipped.
 *
 * Returns 0 and fills *config, or -1 and leaves "trapline.conf:LINE: what is wrong (what is
 * allowed)" in error (CONFIG_ERROR_LEN bytes).
 */
int config_parse(const char *data, size_t size, struct config *config, char *error);

#endif
