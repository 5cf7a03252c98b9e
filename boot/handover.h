/*
 * The one structure that the UEFI loader hands to the hypervisor.
 *
 * All addresses are physical unless a comment says otherwise. Everything the structure points at
 * lies in memory that the memory map below marks HANDOVER_MEM_KEPT, so it stays valid for the whole
 * life of the hypervisor. The structure itself is passed by its address in the direct map.
 */
#ifndef TRAPLINE_BOOT_HANDOVER_H
#define TRAPLINE_BOOT_HANDOVER_H

#include <stdint.h>

enum {
    HANDOVER_MAGIC = 0x4c505254, /* "TRPL" */
    HANDOVER_VERSION = 4,
    HANDOVER_MAX_REGIONS = 512,
    HANDOVER_MAX_CPUS = 256,
    HANDOVER_MAX_GUESTS = 64,
    HANDOVER_MAX_SEGMENTS = 8,
    HANDOVER_MAX_VCPUS = 32, /* of one guest */
    HANDOVER_NAME_LEN = 32,
    HANDOVER_ARGS_LEN = 256,
};

/* Virtual layout that the loader sets up and the hypervisor keeps. */
#define HANDOVER_DIRECT_BASE 0xffff800000000000ull /* direct map: virtual = physical + this */
#define HANDOVER_HV_BASE     0xffffffff80000000ull /* the hypervisor image is linked here */

enum handover_mem_type {
    HANDOVER_MEM_FREE = 1, /* the hypervisor may use it for anything */
    HANDOVER_MEM_KEPT,     /* image, page tables, guest images, this structure */
    HANDOVER_MEM_FIRMWARE, /* UEFI runtime services code and data: mapped for ResetSystem only */
    HANDOVER_MEM_RESERVED, /* RAM or device memory that nobody may touch (ACPI, unusable, reserved)
                            */
    HANDOVER_MEM_MMIO,     /* memory-mapped I/O that the memory map names */
};

struct handover_region {
    uint64_t base; /* bytes, multiple of 4096 */
    uint64_t size; /* bytes, multiple of 4096 */
    uint32_t type; /* enum handover_mem_type */
    uint32_t pad;
};

struct handover_cpu {
    uint32_t apic_id;
    uint32_t bsp; /* 1 for the CPU that runs the loader */
};

struct handover_segment {
    uint64_t gpa;       /* where it goes in guest-physical memory, bytes */
    uint64_t data;      /* physical address of the file's bytes */
    uint64_t file_size; /* bytes to copy */
    uint64_t mem_size;  /* bytes it occupies; the rest is zero */
    uint32_t flags;     /* ELF PF_R 4, PF_W 2, PF_X 1 */
    uint32_t pad;
};

struct handover_guest {
    char name[HANDOVER_NAME_LEN]; /* NUL-terminated */
    char args[HANDOVER_ARGS_LEN]; /* NUL-terminated command line, without the program's name */
    uint64_t memory;              /* bytes of RAM, multiple of 2 MiB */
    uint64_t table_budget;        /* bytes for the guest's EPT tables, 0 = by the memory's size */
    uint64_t time_limit_ms;       /* 0 = none; CPU time after which the guest is stopped */
    uint32_t vcpus;
    uint32_t segment_count;
    uint64_t entry;                    /* guest-virtual = guest-physical */
    uint32_t interrupts;               /* enum handover_interrupts */
    uint32_t repeat;                   /* how many times it runs, one after the other; at least 1 */
    uint32_t cpu_count;                /* entries of cpus in use; 0 = the CPUs in turn */
    uint16_t cpus[HANDOVER_MAX_VCPUS]; /* where vCPU i is pinned: entry i % cpu_count */
    uint32_t disk;                     /* enum handover_disk */
    struct handover_segment segments[HANDOVER_MAX_SEGMENTS];
};

/* How a guest's interrupts reach it. */
enum handover_interrupts {
    HANDOVER_INTERRUPTS_AUTO = 0, /* direct where its vCPUs own their CPUs, else virtual */
    HANDOVER_INTERRUPTS_DIRECT,   /* by the CPU through the guest's IDT, without exits */
    HANDOVER_INTERRUPTS_VIRTUAL,  /* by a virtual APIC */
};

/* Which of the machine's two legacy ATA channels a guest has for itself, with all its drives. */
enum handover_disk {
    HANDOVER_DISK_NONE = 0,
    HANDOVER_DISK_ATA0, /* ports 1F0H to 1F7H and 3F6H */
    HANDOVER_DISK_ATA1, /* ports 170H to 177H and 376H */
};

enum handover_pixel_format {
    HANDOVER_PIXEL_NONE = 0, /* no framebuffer */
    HANDOVER_PIXEL_RGB,      /* byte 0 red */
    HANDOVER_PIXEL_BGR,      /* byte 0 blue */
};

struct handover_framebuffer {
    uint64_t base;
    uint64_t size;  /* bytes */
    uint32_t width; /* pixels */
    uint32_t height;
    uint32_t stride; /* pixels per line */
    uint32_t format; /* enum handover_pixel_format */
};

enum handover_on_exit {
    HANDOVER_SHUTDOWN = 0,
    HANDOVER_RESET,
    HANDOVER_HALT,
};

/* Optional CPU features that the configuration can force off, to try the fallbacks. */
enum handover_disable {
    HANDOVER_NO_EPT_1G = 1u << 0,
    HANDOVER_NO_EPT_2M = 1u << 1,
    HANDOVER_NO_EPT_AD = 1u << 2,
    HANDOVER_NO_EPT_EXEC_ONLY = 1u << 3,
    HANDOVER_NO_INVEPT_SINGLE = 1u << 4,
    HANDOVER_NO_XSAVES = 1u << 5,
    HANDOVER_NO_PREEMPTION_TIMER_SAVE = 1u << 6,
    HANDOVER_NO_X2APIC = 1u << 7,
    HANDOVER_NX_HUGE = 1u << 8, /* treat the CPU as subject to the iTLB multihit erratum */
    HANDOVER_NO_VE = 1u << 9,
    HANDOVER_NO_VMFUNC = 1u << 10,
    HANDOVER_NO_PML = 1u << 11,
    HANDOVER_NO_APICV = 1u << 12, /* APIC-register virtualization, virtual-interrupt delivery */
    HANDOVER_NO_DIRECT_INTERRUPTS = 1u << 13,
    HANDOVER_NO_TSC_DEADLINE = 1u << 14,
    HANDOVER_NO_PKU = 1u << 15,
    HANDOVER_NO_PCID = 1u << 16,
    HANDOVER_NO_INVPCID = 1u << 17,
};

/* Faults that the configuration can ask for, to see what is said and done about them. */
enum handover_selftest {
    HANDOVER_SELFTEST_NONE = 0,
    HANDOVER_SELFTEST_EXCEPTION,  /* an undefined instruction in root mode */
    HANDOVER_SELFTEST_STACK,      /* root mode's stack overflows */
    HANDOVER_SELFTEST_ENTRY,      /* the first guest's state breaks a rule of VM entry */
    HANDOVER_SELFTEST_SILENT_CPU, /* a CPU is listed that does not exist */
    HANDOVER_SELFTEST_NMI,        /* idle CPUs send NMIs to the others */
};

/* What the hypervisor measures before the first guest starts. */
enum handover_measure {
    HANDOVER_MEASURE_NONE = 0,
    HANDOVER_MEASURE_COSTS, /* what the CPU's own events cost: hv/costs.h */
};

struct handover {
    uint32_t magic;
    uint32_t version;
    uint32_t size; /* sizeof(struct handover) */
    uint32_t on_exit;
    uint32_t disable;      /* enum handover_disable */
    uint32_t serial_port;  /* I/O port of a 16550, 0 = none */
    uint32_t serial_baud;  /* bits per second */
    uint32_t debug_port;   /* the emulators' debug port (0xe9), 0 = none */
    uint64_t tsc_hz;       /* measured against the firmware's timer */
    uint64_t hv_phys;      /* first byte of the loaded image, mapped at HANDOVER_HV_BASE */
    uint64_t hv_size;      /* bytes, multiple of 4096 */
    uint64_t symtab;       /* the image's ELF symbol table (Elf64_Sym), 0 = none */
    uint64_t symtab_count; /* entries */
    uint64_t strtab;
    uint64_t strtab_size;
    uint64_t trampoline;   /* two free pages below 1 MiB for starting the other CPUs */
    uint64_t reset_system; /* physical address of the firmware's ResetSystem, 0 = none */
    struct handover_framebuffer framebuffer;
    uint32_t region_count;
    uint32_t cpu_count;
    uint32_t guest_count;
    uint32_t selftest;                                    /* enum handover_selftest */
    uint32_t measure;                                     /* enum handover_measure */
    struct handover_region regions[HANDOVER_MAX_REGIONS]; /* sorted by base, not overlapping */
    struct handover_cpu cpus[HANDOVER_MAX_CPUS];
    struct handover_guest guests[HANDOVER_MAX_GUESTS];
};

#endif
