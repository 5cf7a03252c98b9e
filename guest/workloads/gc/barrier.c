#include "guest/workloads/gc/barrier.h"

#include "guest/workloads/gc/chaos.h"
#include "guest/workloads/gc/scan.h"

static struct gc_heap *guarded;

static void die(const struct trapline_fault *fault, const char *what)
{
    printf("gc: vCPU %u touches %s at 0x%lx: the barrier let a pointer through that it must not\n",
           vcpu_index(), what, (unsigned long)fault->address);
    exit(EXIT_FAILURE);
}

static void on_touch(struct trapline_fault *fault)
{
    struct gc_heap *const heap = guarded;
    void *const address = (void *)fault->address;
    const unsigned vcpu = vcpu_index();
    const uint64_t start = ticks();
    uint32_t page;

    if (vcpu >= heap->options.mutators || !gc_in_space(heap, heap->to, address))
        die(fault, "the from-space");
    page = (uint32_t)gc_page_of(heap, address);
    if (gc_page_state(heap, page) == GC_PAGE_FREE)
        die(fault, "a free page");
    gc_chaos(heap, &heap->worker[vcpu]);
    gc_scan_page(heap, &heap->worker[vcpu], page);
    gc_pauses_add(&heap->mutator[vcpu].pauses, GC_PAUSE_TRAP, start);
}

int gc_barrier_start(struct gc_heap *heap)
{
    guarded = heap;
    return region_trap(on_touch, 0);
}

void gc_barrier_end(void)
{
    region_trap(NULL, 0);
    guarded = NULL;
}
