#include "hv/dump.h"

#include "hv/console.h"
#include "hv/cpu.h"
#include "hv/exit_cr.h"
#include "hv/guest.h"
#include "hv/lock.h"
#include "hv/vcpu.h"
#include "vmx/instructions.h"
#include "vmx/x86.h"

enum {
    PTE_PRESENT = 1u << 0,
    PTE_LARGE = 1u << 7,
    WALK_LEVELS = 4,
    WALK_INDEX_BITS = 9,
    WALK_INDEX_MASK = 511,
};

#define PTE_ADDRESS 0x000ffffffffff000ull

typedef unsigned long long ull;

static void dump_registers(const struct vmx_regs *r)
{
    kprintf("  rax %016llx rbx %016llx rcx %016llx rdx %016llx\n", (ull)r->rax, (ull)r->rbx,
            (ull)r->rcx, (ull)r->rdx);
    kprintf("  rsi %016llx rdi %016llx rbp %016llx rsp %016llx\n", (ull)r->rsi, (ull)r->rdi,
            (ull)r->rbp, (ull)vmread(VMCS_GUEST_RSP));
    kprintf("  r8  %016llx r9  %016llx r10 %016llx r11 %016llx\n", (ull)r->r8, (ull)r->r9,
            (ull)r->r10, (ull)r->r11);
    kprintf("  r12 %016llx r13 %016llx r14 %016llx r15 %016llx\n", (ull)r->r12, (ull)r->r13,
            (ull)r->r14, (ull)r->r15);
    kprintf("  rip %016llx rflags %08llx interruptibility %llx activity %llx\n",
            (ull)vmread(VMCS_GUEST_RIP), (ull)vmread(VMCS_GUEST_RFLAGS),
            (ull)vmread(VMCS_GUEST_INTERRUPTIBILITY), (ull)vmread(VMCS_GUEST_ACTIVITY));
    kprintf("  cr0 %08llx cr2 %016llx cr3 %016llx cr4 %08llx efer %llx dr7 %llx\n", (ull)exit_cr0(),
            (ull)read_cr2(), (ull)vmread(VMCS_GUEST_CR3), (ull)exit_cr4(),
            (ull)vmread(VMCS_GUEST_EFER), (ull)vmread(VMCS_GUEST_DR7));
}

static void dump_segment(const char *name, enum vmcs_field selector, enum vmcs_field base,
                         enum vmcs_field limit, enum vmcs_field rights)
{
    kprintf("  %-4s %04llx base %016llx limit %08llx rights %05llx\n", name, (ull)vmread(selector),
            (ull)vmread(base), (ull)vmread(limit), (ull)vmread(rights));
}

#define DUMP_SEGMENT(text, name)                                                                   \
    dump_segment(text, VMCS_GUEST_##name##_SELECTOR, VMCS_GUEST_##name##_BASE,                     \
                 VMCS_GUEST_##name##_LIMIT, VMCS_GUEST_##name##_ACCESS_RIGHTS)

static void dump_segments(void)
{
    DUMP_SEGMENT("cs", CS);
    DUMP_SEGMENT("ss", SS);
    DUMP_SEGMENT("ds", DS);
    DUMP_SEGMENT("es", ES);
    DUMP_SEGMENT("fs", FS);
    DUMP_SEGMENT("gs", GS);
    DUMP_SEGMENT("ldtr", LDTR);
    DUMP_SEGMENT("tr", TR);
    kprintf("  gdtr base %016llx limit %04llx  idtr base %016llx limit %04llx\n",
            (ull)vmread(VMCS_GUEST_GDTR_BASE), (ull)vmread(VMCS_GUEST_GDTR_LIMIT),
            (ull)vmread(VMCS_GUEST_IDTR_BASE), (ull)vmread(VMCS_GUEST_IDTR_LIMIT));
}

/* The guest's own tables, for a 64-bit guest: one line a level, to the leaf or the missing entry.
 */
static void dump_guest_walk(struct guest *guest, uint64_t linear)
{
    uint64_t table = vmread(VMCS_GUEST_CR3) & PTE_ADDRESS;

    if (!(vmread(VMCS_GUEST_EFER) & EFER_LMA))
        return;
    for (unsigned level = WALK_LEVELS; level > 0; level--) {
        unsigned shift = GUEST_PAGE_SHIFT + WALK_INDEX_BITS * (level - 1);
        uint64_t at = table + (linear >> shift & WALK_INDEX_MASK) * sizeof(uint64_t);
        uint64_t entry;

        if (!guest_in_ram(guest, at, sizeof(entry))) {
            kprintf("  guest walk, level %u: the table at %llx is outside RAM\n", level,
                    (ull)table);
            return;
        }
        guest_read(guest, at, &entry, sizeof(entry));
        kprintf("  guest walk, level %u: [%llx] = %016llx\n", level, (ull)at, (ull)entry);
        if (!(entry & PTE_PRESENT) || (level < WALK_LEVELS && (entry & PTE_LARGE)))
            return;
        table = entry & PTE_ADDRESS;
    }
}

static void dump_ept_walk(struct guest *guest, uint64_t gpa)
{
    struct ept_translation t;

    if (ept_lookup(&guest->ept, gpa, &t) != EPT_OK) {
        kprintf("  EPT: nothing is mapped at %llx (RAM ends at %llx)\n", (ull)gpa,
                (ull)guest->ram_size);
        return;
    }
    kprintf("  EPT: level %u entry %016llx host %llx access %u of %u, hardware %u, type %u%s%s\n",
            t.level, (ull)t.entry, (ull)t.hpa, t.access, t.full, t.hardware, t.memtype,
            t.tracked ? ", tracked" : "", t.alias ? ", alias" : "");
}

static void dump_addresses(struct guest *guest, uint32_t reason, uint64_t qualification)
{
    if (reason != EXIT_REASON_EPT_VIOLATION && reason != EXIT_REASON_EPT_MISCONFIGURATION)
        return;
    uint64_t gpa = vmread(VMCS_GUEST_PHYSICAL_ADDRESS);

    kprintf("  guest-physical address %016llx\n", (ull)gpa);
    if (reason == EXIT_REASON_EPT_VIOLATION && (qualification & EPT_VIOLATION_LINEAR_VALID)) {
        uint64_t linear = vmread(VMCS_GUEST_LINEAR_ADDRESS);

        kprintf("  guest-linear address %016llx\n", (ull)linear);
        dump_guest_walk(guest, linear);
    }
    dump_ept_walk(guest, gpa);
}

void dump_vcpu(const struct vcpu *vcpu)
{
    static struct spinlock lock; /* one dump after the other, when guests end on several CPUs */
    uint32_t full = (uint32_t)vmread(VMCS_EXIT_REASON);
    uint32_t reason = full & EXIT_REASON_BASIC;
    uint64_t qualification = vmread(VMCS_EXIT_QUALIFICATION);
    const char *name = vmx_exit_name(reason);

    spin_lock(&lock);
    kprintf("trapline: guest %s, vCPU %u on CPU %u: VM exit 0x%x (%s), qualification 0x%llx\n",
            vcpu->guest->config->name, vcpu->index, vcpu->cpu->index, full, name ? name : "unknown",
            (ull)qualification);
    kprintf("  instruction length %llu, event 0x%llx, event in delivery 0x%llx\n",
            (ull)vmread(VMCS_EXIT_INSTRUCTION_LENGTH), (ull)vmread(VMCS_EXIT_INTERRUPTION_INFO),
            (ull)vmread(VMCS_IDT_VECTORING_INFO));
    dump_registers(&vcpu->context.regs);
    dump_segments();
    dump_addresses(vcpu->guest, reason, qualification);
    spin_unlock(&lock);
}
