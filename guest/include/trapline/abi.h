/*
 * The interface between a guest and Trapline: hypercalls, their errors, the structures in memory.
 *
 * Calling convention. VMCALL at CPL 0 with the number in RAX and the arguments in RDI, RSI, RDX,
 * R10 and R8. The result comes back in RAX: zero or more on success, a negative errno value from
 * enum trapline_error on failure. Calls that give a second value return it in RDX. All other
 * registers are preserved. Every address is guest-physical and every size is in 4 KiB pages unless
 * a comment says otherwise. A call that fails has changed nothing.
 *
 * The contract of each call, with all of its errors, is in docs/ABI.md.
 */
#ifndef TRAPLINE_ABI_H
#define TRAPLINE_ABI_H

#include <stdint.h>

enum {
    TRAPLINE_ABI_VERSION = 2,
    TRAPLINE_PAGE_SIZE = 4096,
    TRAPLINE_PAGE_SHIFT = 12,
    TRAPLINE_RAISED_BITS = 1024,
    TRAPLINE_VECTOR_TRAP = 20,     /* where a forbidden access is delivered (the SDM's #VE) */
    TRAPLINE_CHANNELS = 64,        /* of one guest, offered and accepted */
    TRAPLINE_CHANNEL_PAGES = 4096, /* of one channel */
};

/* Instead of a channel in LISTEN: offers to the calling guest. */
#define TRAPLINE_CHANNEL_OFFERS UINT64_MAX

/* CPUID leaf that identifies the hypervisor; EAX of the leaf is the highest hypervisor leaf. */
enum trapline_cpuid {
    TRAPLINE_CPUID_SIGNATURE = 0x40000000, /* EBX, ECX, EDX spell "TraplineHV\0\0" */
    TRAPLINE_CPUID_VERSION = 0x40000001,   /* EAX = TRAPLINE_ABI_VERSION, EBX = features */
};

enum trapline_hypercall {
    TRAPLINE_HC_NOP = 0,    /* () -> 0; whatever the other registers hold */
    TRAPLINE_HC_TRAP = 1,   /* (area) -> 0; area 0 unregisters */
    TRAPLINE_HC_PROT1 = 2,  /* (page, access) -> 0 */
    TRAPLINE_HC_PROTN = 3,  /* (list, count, access | form) -> 0, or error and RDX = index */
    TRAPLINE_HC_UNPROT = 4, /* (page, pages) -> 0 */
    TRAPLINE_HC_DIRTY = 5,  /* (page, pages, buffer, capacity) -> count, RDX = dirty pages left */
    TRAPLINE_HC_MAP2 = 6,   /* (page, pages, alias, access) -> 0 */
    TRAPLINE_HC_UNMAP2 = 7, /* (alias, pages) -> 0 */
    TRAPLINE_HC_TRACK = 8,  /* (page, pages, on) -> 0; starts or ends what DIRTY reports */
    TRAPLINE_HC_PRINT = 9,  /* (text, bytes) -> bytes */
    TRAPLINE_HC_EXIT = 10,  /* (code) does not return */
    TRAPLINE_HC_STATS = 11, /* (struct trapline_stats *) -> 0 */

    /* Several vCPUs. */
    TRAPLINE_HC_VCPU_START = 12, /* (vcpu, entry, stack, argument) -> 0 */
    TRAPLINE_HC_PARK = 13,       /* (ticks) -> 1 unparked, 0 time is over; 0 ticks: no limit */
    TRAPLINE_HC_UNPARK = 14,     /* (vcpu) -> 0 */
    TRAPLINE_HC_DOORBELL = 15,   /* (vcpu, vector) -> 0; an interrupt for that vCPU */

    TRAPLINE_HC_MULTI = 16, /* (struct trapline_call *, count) -> 0, or error and RDX = index */

    /* Views: more sets of protections over the same memory; 0 is the one that PROT works on. */
    TRAPLINE_HC_VIEW_CREATE = 17,  /* () -> view, 1 to 511 */
    TRAPLINE_HC_VIEW_DESTROY = 18, /* (view) -> 0 */
    TRAPLINE_HC_VIEW_PROT = 19,    /* (page, pages, access, view) -> 0; takes away and gives back */
    TRAPLINE_HC_VIEW_PROTN = 20,   /* (list, count, access | form, view) -> 0, or error and index */
    TRAPLINE_HC_VIEW_SWITCH = 21,  /* (view) -> the view it was in; VMFUNC: without an exit */

    /*
     * Channels: pages shared by two guests that both want it. name: address of the other guest's,
     * a string in TRAPLINE_NAME_LEN bytes. channel: 0 to TRAPLINE_CHANNELS - 1, each guest's own.
     */
    TRAPLINE_HC_OFFER = 22,    /* (name, page, pages, access) -> channel */
    TRAPLINE_HC_ACCEPT = 23,   /* (name, address, pages) -> channel, RDX = bytes | access */
    TRAPLINE_HC_WITHDRAW = 24, /* (channel) -> 0 */
    TRAPLINE_HC_RING = 25,     /* (channel) -> 0; a doorbell at the other side */
    TRAPLINE_HC_LISTEN = 26,   /* (channel, vcpu, vector) -> 0; where rings of it go, 0: unpark */

    /* Of the guest's own page tables; in a guest of several vCPUs. */
    TRAPLINE_HC_SHOOTDOWN = 27, /* () -> 0; the other vCPUs' translations are dropped */

    /* (page, access, other) -> 0; PROT1 of page and UNPROT of other; or error and RDX = which */
    TRAPLINE_HC_PROT1_UNPROT = 28,
    TRAPLINE_HC_COUNT
};

/* Accesses to a page. Write without read is refused; execute alone where the CPU can do it. */
enum trapline_access {
    TRAPLINE_NONE = 0,
    TRAPLINE_READ = 1,
    TRAPLINE_WRITE = 2,
    TRAPLINE_EXEC = 4,
};

/* How PROTN's list is written; or-ed into its access argument. */
enum trapline_list {
    TRAPLINE_LIST_PAGES = 0,       /* uint64_t page addresses */
    TRAPLINE_LIST_RANGES = 1 << 8, /* struct trapline_range */
};

struct trapline_range {
    uint64_t page;  /* address of the first page */
    uint64_t pages; /* at least 1 */
};

/*
 * One call of a MULTI list, which is in RAM that the guest may read and write, or in the page of
 * the calling vCPU's trap area, behind the structure; at TRAPLINE_MULTI_AREA of it, it is quickest.
 */
enum {
    TRAPLINE_MULTI_MAX = 32,    /* calls in a list */
    TRAPLINE_MULTI_AREA = 2048, /* bytes */
};

struct trapline_call {
    uint64_t number; /* enum trapline_hypercall: a primitive */
    uint64_t argument[4];
    int64_t result;  /* written by the hypervisor for each call that was executed */
    uint64_t second; /* the call's RDX */
    uint64_t pad;
};

/* Errors: the result in RAX is one of these, negated. */
enum trapline_error {
    TRAPLINE_EPERM = 1,   /* not at CPL 0 */
    TRAPLINE_ENOENT = 2,  /* no page there: outside RAM, or an alias that is not mapped */
    TRAPLINE_ENOMEM = 12, /* the guest's table budget is used up */
    TRAPLINE_EAGAIN = 11, /* not now: see the call */
    TRAPLINE_EFAULT = 14, /* a buffer or list is outside RAM, or its protection forbids the use */
    TRAPLINE_EEXIST = 17, /* the alias is mapped already */
    TRAPLINE_EPIPE = 32,  /* the other side of the channel is gone */
    TRAPLINE_EINVAL = 22, /* misaligned, wraps around, an access that cannot be, a bad form */
    TRAPLINE_ENOSYS = 38, /* no such hypercall */
    TRAPLINE_EOPNOTSUPP = 95, /* this CPU cannot do it (execute-only pages) */
};

/* Features, in struct trapline_info and CPUID leaf 0x40000001. */
enum trapline_feature {
    TRAPLINE_FEATURE_EXEC_ONLY = 1u << 0, /* PROT to TRAPLINE_EXEC alone works */
    TRAPLINE_FEATURE_AD = 1u << 1,        /* DIRTY uses the EPT's dirty bits, no fault per page */
    TRAPLINE_FEATURE_EPT_2M = 1u << 2,
    TRAPLINE_FEATURE_EPT_1G = 1u << 3,
    TRAPLINE_FEATURE_VE = 1u << 4,     /* TRAP is delivered by the CPU (#VE), without an exit */
    TRAPLINE_FEATURE_VMFUNC = 1u << 5, /* views are switched by VMFUNC, without an exit */
    TRAPLINE_FEATURE_PML = 1u << 6,    /* DIRTY may read the CPU's page-modification log */
    TRAPLINE_FEATURE_APICV = 1u << 7,  /* interrupts of a shared CPU: virtual-interrupt delivery */
    TRAPLINE_FEATURE_DIRECT = 1u << 8, /* this guest's vCPUs own their CPUs' interrupts */
};

/*
 * The virtualization-exception information area, one 4 KiB-aligned page (SDM 25.5.7.2, "Convertible
 * EPT Violations" and the table of its format). Whoever delivers the fault, the CPU or the
 * hypervisor, sets busy to all ones; while it is not zero a further forbidden access stops the
 * guest, so the handler copies what it needs and clears busy before it does anything that can
 * fault.
 */
struct trapline_trap_area {
    uint32_t reason;        /* 48: EPT violation */
    uint32_t busy;          /* 0 or 0xffffffff */
    uint64_t qualification; /* SDM table "Exit Qualification for EPT Violations" */
    uint64_t linear;        /* guest-linear address */
    uint64_t physical;      /* guest-physical address */
    uint16_t eptp_index;    /* the view */
    uint16_t pad[3];
    /*
     * What the CPU has not: pages whose protection another vCPU raised since the translations of
     * this one were dropped last, as bit (page number % TRAPLINE_RAISED_BITS). A fault on a page
     * whose bit is set may be stale, by an old translation, and is tried again once; no fault on
     * another page is.
     */
    uint64_t raised[16];
};

/* Bits of the qualification that a handler looks at. */
enum trapline_qualification {
    TRAPLINE_Q_READ = 1u << 0,
    TRAPLINE_Q_WRITE = 1u << 1,
    TRAPLINE_Q_FETCH = 1u << 2,
    TRAPLINE_Q_LINEAR_VALID = 1u << 7,
    TRAPLINE_Q_NOT_WALK = 1u << 8, /* the access itself, not the walk of the guest's page tables */
    TRAPLINE_Q_GONE = 1u << 30,    /* there was a channel, and its other side has withdrawn */
};

/*
 * How a guest starts: 64-bit mode at the ELF entry, CPL 0, interrupts off, SSE on, flat segments
 * with the selectors below, RDI = address of this structure, RSP = 0, all of RAM and the alias
 * window mapped one to one by temporary page tables that lie in the boot area at the end of RAM. A
 * guest that has made tables of its own may use the boot area's pages for anything.
 */
enum {
    TRAPLINE_INFO_MAGIC = 0x49505254, /* "TRPI" */
    TRAPLINE_ARGS_LEN = 256,
    TRAPLINE_NAME_LEN = 32,
    TRAPLINE_SEL_CODE = 0x08,
    TRAPLINE_SEL_DATA = 0x10,
};

struct trapline_info {
    uint32_t magic;
    uint32_t version;    /* TRAPLINE_ABI_VERSION */
    uint64_t ram_size;   /* bytes; RAM starts at 0 */
    uint64_t boot_area;  /* address of the boot area: [boot_area, ram_size) */
    uint64_t alias_base; /* the alias window */
    uint64_t alias_size; /* bytes */
    uint64_t tsc_hz;     /* ticks of the TSC per second */
    uint32_t features;   /* enum trapline_feature */
    uint32_t vcpus;
    char name[TRAPLINE_NAME_LEN];
    char args[TRAPLINE_ARGS_LEN];
    /*
     * The ATA channel that this guest has for itself: I/O ports of its eight command registers (the
     * first of them) and of its control register. 0: the guest has no disk, and no port.
     */
    uint16_t disk_ports;
    uint16_t disk_control;
    uint32_t pad;
};

/* What the hypervisor counted for the calling guest since it started. */
struct trapline_stats {
    uint64_t exits;        /* VM exits, this call's own included */
    uint64_t flushes;      /* INVEPT and INVVPID executed */
    uint64_t ipis;         /* inter-processor interrupts sent */
    uint64_t hypercalls;   /* VMCALLs, this one included */
    uint64_t traps;        /* forbidden accesses delivered by exits; those by #VE nobody counts */
    uint64_t spurious;     /* EPT violations that the tables allow by now: retried */
    uint64_t tracked;      /* first writes recorded by a fault (CPUs without dirty bits) */
    uint64_t table_pages;  /* EPT table pages in use */
    uint64_t table_budget; /* EPT table pages that may be used */
    uint64_t splits;       /* large pages split */
    uint64_t merges;       /* tables merged into a large page */
};

#endif
