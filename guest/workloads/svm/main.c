/*
 * Shared virtual memory: several guests, each with a memory of its own, have one address space
 * together, as in Li and Hudak's IVY ("Memory Coherence in Shared Virtual Memory Systems", ACM TOCS
 * 7(4), 1989). A page is at one node to be written, or at several to be read; who touches one that
 * is not there gets it by messages. Owners are found by the paper's dynamic distributed manager.
 *
 *   TRAP          a page is not here, or not to be written
 *   PROT1, UNPROT what a node may do with a page now: nothing, read, read and write
 *   MAP2          the node's own way to a page that nobody may touch: it fills pages that have
 * come, and copies those that go
 *
 * `make run GUEST=svm COPIES=2 CPUS=2`: see docs/workloads/svm.md.
 */
#include "guest/common/options.h"
#include "guest/workloads/svm/litmus.h"
#include "guest/workloads/svm/measure.h"
#include "guest/workloads/svm/messages.h"
#include "guest/workloads/svm/svm.h"

enum {
    KERNELS = 4,
    SPARE_PAGES = 8,
    LITMUS_ROUNDS = 4000,
};

enum choice {
    CHOICE_JACOBI, /* and so on: the kernel of that index */
    CHOICE_LITMUS = KERNELS,
    CHOICE_ALL, /* the kernels, not the litmus tests */
};

enum mistake {
    MISTAKE_NONE,
    MISTAKE_INVALIDATE,
};

static const struct kernel *const kernels[KERNELS] = {&kernel_jacobi, &kernel_matrix, &kernel_sort,
                                                      &kernel_dot};
static const char *const choices[] = {"jacobi", "matrix", "sort", "dot", "litmus", "all", NULL};
static const char *const mistakes[] = {"none", "invalidate", NULL};

static struct {
    uint64_t nodes, size, rounds, spread, hold;
    unsigned choice, mistake;
    enum region_mechanism mechanism;
    bool verify, baseline;
} settings = {.spread = 4000, .hold = 2000, .choice = CHOICE_ALL, .mechanism = REGION_DEFAULT};

static const struct option options[] = {
    {.name = "nodes",
     .kind = OPTION_NUMBER,
     .value = &settings.nodes,
     .most = PEERS_MAX,
     .help = "how many take part; 0: all guests there are"},
    {.name = "kernel",
     .kind = OPTION_CHOICE,
     .value = &settings.choice,
     .choices = choices,
     .help = "what to compute"},
    {.name = "size",
     .kind = OPTION_NUMBER,
     .value = &settings.size,
     .most = 1 << 20,
     .help = "rows (jacobi, matrix) or numbers (sort, dot); 0: as is usual"},
    {.name = "rounds",
     .kind = OPTION_NUMBER,
     .value = &settings.rounds,
     .most = 1 << 20,
     .help = "of jacobi and of litmus tests; 0: as is usual"},
    {.name = "spread",
     .kind = OPTION_NUMBER,
     .value = &settings.spread,
     .most = 1 << 20,
     .help = "turns of a loop that a round of a litmus test is held up by, at most"},
    {.name = "hold",
     .kind = OPTION_NUMBER,
     .value = &settings.hold,
     .most = 1 << 30,
     .help = "ticks for which a page that came stays"},
    {.name = "mechanism",
     .kind = OPTION_MECHANISM,
     .value = &settings.mechanism,
     .help = "of the protection"},
    {.name = "break",
     .kind = OPTION_CHOICE,
     .value = &settings.mistake,
     .choices = mistakes,
     .help = "the mistake to make: invalidations acknowledged and not done"},
    {.name = "verify",
     .kind = OPTION_FLAG,
     .value = &settings.verify,
     .help = "compare results with those of one node alone, and the nodes' tables"},
    {.name = "baseline",
     .kind = OPTION_FLAG,
     .value = &settings.baseline,
     .help = "jacobi by messages, without shared memory"},
};

static bool is_chosen(unsigned kernel)
{
    return settings.choice == kernel || settings.choice == CHOICE_ALL;
}

static struct work work_of(const struct kernel *kernel)
{
    struct work work = kernel->usual;

    if (settings.size && settings.choice != CHOICE_ALL)
        work.size = settings.size;
    if (settings.rounds && work.rounds)
        work.rounds = settings.rounds;
    work.size = kernel->fit(work.size, peers_count());
    return work;
}

static struct litmus_options litmus_options(void)
{
    return (struct litmus_options){.rounds = settings.rounds ? settings.rounds : LITMUS_ROUNDS,
                                   .spread = settings.spread,
                                   .mode = region_mechanism_name(settings.mechanism)};
}

/* Pages of the space: what the programs take, and the tables of all nodes for the audit. */
static size_t space_pages(void)
{
    const struct litmus_options litmus = litmus_options();
    size_t bytes = settings.choice == CHOICE_LITMUS ? litmus_bytes(&litmus) : 0, pages;

    for (unsigned i = 0; i < KERNELS; i++) {
        const struct work work = work_of(kernels[i]);

        if (is_chosen(i))
            bytes += measure_bytes(kernels[i], &work);
    }
    pages = bytes / TRAPLINE_PAGE_SIZE + SPARE_PAGES;
    return pages + pages * peers_count() / 256;
}

static bool run(void)
{
    const char *mode = region_mechanism_name(settings.mechanism);
    const struct litmus_options litmus = litmus_options();
    bool right = true;

    for (unsigned i = 0; i < KERNELS; i++) {
        const struct work work = work_of(kernels[i]);

        if (is_chosen(i))
            right &= measure_kernel(kernels[i], &work, mode, settings.verify);
    }
    if (settings.choice == CHOICE_LITMUS)
        right &= litmus_run(&litmus);
    if (settings.verify) {
        void *scratch = svm_alloc(svm_audit_bytes());

        assert(scratch);
        right &= svm_audit(scratch);
    }
    return right;
}

static bool sizes_fit(void)
{
    for (unsigned i = 0; i < KERNELS; i++) {
        if (is_chosen(i) && work_of(kernels[i]).size == 0) {
            printf("svm: size is too small for %s on %u nodes\n", kernels[i]->name, peers_count());
            return false;
        }
    }
    return true;
}

/* Returns whether all is right; what cannot be is told and is not right. */
static bool run_shared(void)
{
    const char *mode = region_mechanism_name(settings.mechanism);
    const int result = svm_start(&(struct svm_options){
        .pages = space_pages(),
        .mechanism = settings.mechanism,
        .hold = settings.hold,
        .deaf = settings.mistake == MISTAKE_INVALIDATE,
    });
    bool right;

    if (result != 0) {
        printf("svm: no shared space of %lu pages: %s\n", (unsigned long)space_pages(),
               trapline_error_name(result));
        return false;
    }
    right = run();
    svm_end();
    if (peers_self() == 0)
        printf("svm: %u nodes, %s: %s\n", peers_count(), mode,
               right ? "all is as it should be" : "FAILED");
    return right;
}

static bool run_baseline(void)
{
    const struct work work = work_of(&kernel_jacobi);
    const bool right = messages_jacobi(&work, settings.verify);

    peers_end();
    return right;
}

int main(int argc, char **argv)
{
    int result;

    if (!options_read("svm", argc, argv, options, sizeof(options) / sizeof(options[0])))
        return EXIT_FAILURE;
    if (settings.baseline)
        settings.choice = CHOICE_JACOBI;
    result = peers_start((unsigned)settings.nodes);
    if (result < 0) {
        printf("svm: %lu nodes cannot meet: %s\n", (unsigned long)settings.nodes,
               trapline_error_name(result));
        return EXIT_FAILURE;
    }
    if (peers_self() >= peers_count())
        return EXIT_SUCCESS; /* one guest more than was asked for */
    if (!sizes_fit())
        return EXIT_FAILURE;
    return (settings.baseline ? run_baseline() : run_shared()) ? EXIT_SUCCESS : EXIT_FAILURE;
}
