/* Control registers that a guest may not have as it pleases: what is taken, and what is #GP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/memory.h"
#include "hv/vmx_setup.h"
#include "tests/unit/hv_world.h"
#include "vmx/controls.h"
#include "vmx/instructions.h"

enum {
    RIP = 0x1234,
    MOV_BYTES = 3,
    TABLE = 0x201000, /* of PDPTEs */
    REG_RAX = 0,
    REG_RSP = 4,
    REG_R15 = 15,
    MOV_FROM = 1 << 4, /* SDM table 27-3 */
    LMSW = 3 << 4,
    GP = 13,
};

#define CS_64         0xa09bull
#define CS_32         0xc09bull
#define LONG_CR0      (CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG)
#define CR0_HOST_OWNS (CR0_NE | CR0_CD | CR0_NW | CR0_PG | CR0_PE)
#define CR4_GUESTS    (uint64_t)(CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_OSXSAVE)

/* In 64-bit mode, as a guest starts. */
static void open_guest(void)
{
    world_open_plain();
    vmx_setup.cr4_allowed = CR4_GUESTS;
    fake_vmcs[VMCS_CR0_MASK] = CR0_HOST_OWNS;
    fake_vmcs[VMCS_GUEST_CR0] = fake_vmcs[VMCS_CR0_READ_SHADOW] = LONG_CR0;
    fake_vmcs[VMCS_CR4_MASK] = ~CR4_GUESTS;
    fake_vmcs[VMCS_GUEST_CR4] = CR4_PAE | CR4_VMXE | CR4_MCE;
    fake_vmcs[VMCS_CR4_READ_SHADOW] = CR4_PAE;
    fake_vmcs[VMCS_GUEST_EFER] = EFER_LME | EFER_LMA;
    fake_vmcs[VMCS_ENTRY_CONTROLS] = VMX_ENTRY_IA32E_MODE_GUEST | VMX_ENTRY_LOAD_EFER;
    fake_vmcs[VMCS_GUEST_CS_ACCESS_RIGHTS] = CS_64;
}

static bool lme(void)
{
    return fake_vmcs[VMCS_GUEST_EFER] & EFER_LME;
}

static uint64_t guest_cr0(void)
{
    return (fake_vmcs[VMCS_GUEST_CR0] & ~CR0_HOST_OWNS) |
           (fake_vmcs[VMCS_CR0_READ_SHADOW] & CR0_HOST_OWNS);
}

/* The access that qualification describes; true = done, false = #GP and nothing has changed. */
static bool access_cr(uint64_t qualification)
{
    static uint64_t before[FAKE_VMCS_FIELDS];

    fake_vmcs[VMCS_EXIT_QUALIFICATION] = qualification;
    fake_vmcs[VMCS_GUEST_RIP] = RIP;
    fake_vmcs[VMCS_EXIT_INSTRUCTION_LENGTH] = MOV_BYTES;
    memcpy(before, fake_vmcs, sizeof(before));
    assert_true(vm_exit(EXIT_REASON_CR_ACCESS));
    if (fake_vmcs[VMCS_GUEST_RIP] == RIP + MOV_BYTES) {
        assert_int_equal(fake_vmcs[VMCS_ENTRY_INTERRUPTION_INFO], 0);
        /* What the CPU must have: caches on, paging in long mode exactly with EFER.LMA. */
        assert_int_equal(fake_vmcs[VMCS_GUEST_CR0] & (CR0_CD | CR0_NW), 0);
        assert_int_equal(!!(fake_vmcs[VMCS_GUEST_EFER] & EFER_LMA),
                         lme() && (fake_vmcs[VMCS_GUEST_CR0] & CR0_PG));
        assert_int_equal(!!(fake_vmcs[VMCS_ENTRY_CONTROLS] & VMX_ENTRY_IA32E_MODE_GUEST),
                         !!(fake_vmcs[VMCS_GUEST_EFER] & EFER_LMA));
        return true;
    }
    assert_int_equal(fake_vmcs[VMCS_ENTRY_INTERRUPTION_INFO],
                     vmx_interruption(EVENT_HARDWARE_EXCEPTION, GP, true));
    assert_int_equal(fake_vmcs[VMCS_ENTRY_EXCEPTION_ERROR_CODE], 0);
    before[VMCS_EXIT_REASON] = fake_vmcs[VMCS_EXIT_REASON];
    before[VMCS_ENTRY_INTERRUPTION_INFO] = fake_vmcs[VMCS_ENTRY_INTERRUPTION_INFO];
    assert_memory_equal(fake_vmcs, before, sizeof(before));
    return false;
}

static bool mov_to(unsigned cr, uint64_t value)
{
    world.vcpu->context.regs.rax = value;
    return access_cr(cr | REG_RAX << 8);
}

static void test_caching_bits_are_a_show(void **state)
{
    (void)state;
    open_guest();
    assert_true(mov_to(0, LONG_CR0 | CR0_CD));
    assert_int_equal(guest_cr0(), LONG_CR0 | CR0_CD);
    assert_int_equal(fake_vmcs[VMCS_GUEST_CR0], LONG_CR0);
    assert_true(mov_to(0, LONG_CR0 | CR0_CD | CR0_NW));
    assert_int_equal(guest_cr0(), LONG_CR0 | CR0_CD | CR0_NW);
    assert_false(mov_to(0, LONG_CR0 | CR0_NW));
    assert_int_equal(world.invvpids, 0);
    assert_true(mov_to(0, LONG_CR0 & ~(uint64_t)CR0_ET)); /* ET is always 1 */
    assert_int_equal(guest_cr0(), LONG_CR0);
    assert_true(mov_to(0, LONG_CR0 | 1u << 10)); /* a reserved bit stays 0 */
    assert_int_equal(guest_cr0(), LONG_CR0);
    for (unsigned bit = 32; bit < 64; bit++)
        assert_false(mov_to(0, LONG_CR0 | 1ull << bit));
    assert_int_equal(world.guest->denials[DENIAL_CR], 33);
    world_close();
}

static void test_leaving_and_entering_long_mode(void **state)
{
    (void)state;
    open_guest();
    assert_false(mov_to(0, LONG_CR0 & ~CR0_PG)); /* not from 64-bit code */
    assert_false(mov_to(0, LONG_CR0 & ~(uint64_t)CR0_PE));
    fake_vmcs[VMCS_GUEST_CS_ACCESS_RIGHTS] = CS_32;
    assert_false(mov_to(0, LONG_CR0 & ~(uint64_t)CR0_PE)); /* PG without PE */
    fake_vmcs[VMCS_GUEST_CR4] |= CR4_PCIDE;
    assert_false(mov_to(0, LONG_CR0 & ~CR0_PG));
    fake_vmcs[VMCS_GUEST_CR4] &= ~(uint64_t)CR4_PCIDE;
    assert_true(mov_to(0, LONG_CR0 & ~CR0_PG));
    assert_int_equal(world.invvpids, 1);
    assert_int_equal(fake_vmcs[VMCS_GUEST_CR0] & CR0_PG, 0);

    fake_vmcs[VMCS_GUEST_CR4] &= ~(uint64_t)CR4_PAE;
    assert_false(mov_to(0, LONG_CR0)); /* LME needs PAE */
    fake_vmcs[VMCS_GUEST_CR4] |= CR4_PAE;
    fake_vmcs[VMCS_GUEST_CS_ACCESS_RIGHTS] = CS_64;
    assert_false(mov_to(0, LONG_CR0));
    fake_vmcs[VMCS_GUEST_CS_ACCESS_RIGHTS] = CS_32;
    assert_true(mov_to(0, LONG_CR0));
    assert_int_equal(world.invvpids, 2);
    assert_true(fake_vmcs[VMCS_GUEST_EFER] & EFER_LMA);
    world_close();
}

/* Without LME paging is PAE paging, and the CPU would load the four PDPTEs (SDM 4.4.1). */
static void test_pdptes(void **state)
{
    static const uint64_t reserved[] = {1 << 1, 1 << 2, 1 << 5,     1 << 6,
                                        1 << 7, 1 << 8, 1ull << 50, 1ull << 63};
    const uint64_t no_paging = CR0_PE | CR0_ET | CR0_NE;
    uint64_t *table;

    (void)state;
    open_guest();
    fake_vmcs[VMCS_GUEST_EFER] = 0;
    fake_vmcs[VMCS_ENTRY_CONTROLS] = 0;
    fake_vmcs[VMCS_GUEST_CS_ACCESS_RIGHTS] = CS_32;
    fake_vmcs[VMCS_GUEST_CR0] = fake_vmcs[VMCS_CR0_READ_SHADOW] = no_paging;
    table = ram(TABLE + 0x40);
    for (unsigned i = 0; i < 4; i++)
        table[i] = 0x300001 + i * PAGE;
    fake_vmcs[VMCS_GUEST_CR3] = TABLE + 0x40 + 0x18; /* bits 4:0 are not the address */
    assert_true(mov_to(0, no_paging | CR0_PG));
    assert_int_equal(fake_vmcs[VMCS_GUEST_PDPTE0], 0x300001);
    assert_int_equal(fake_vmcs[VMCS_GUEST_PDPTE1], 0x301001);
    assert_int_equal(fake_vmcs[VMCS_GUEST_PDPTE2], 0x302001);
    assert_int_equal(fake_vmcs[VMCS_GUEST_PDPTE3], 0x303001);
    assert_true(mov_to(0, no_paging));
    for (unsigned i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        table[2] = 0x302001 | reserved[i];
        assert_false(mov_to(0, no_paging | CR0_PG));
        table[2] = reserved[i]; /* not present: nothing is reserved */
        assert_true(mov_to(0, no_paging | CR0_PG));
        assert_true(mov_to(0, no_paging));
    }
    fake_vmcs[VMCS_GUEST_CR3] = WORLD_RAM_MAX;
    assert_false(mov_to(0, no_paging | CR0_PG));
    fake_vmcs[VMCS_GUEST_CR4] &= ~(uint64_t)CR4_PAE; /* 32-bit paging has none */
    assert_true(mov_to(0, no_paging | CR0_PG));
    world_close();
}

static void test_cr4(void **state)
{
    (void)state;
    open_guest();
    for (unsigned bit = 0; bit < 64; bit++) {
        if (!(CR4_GUESTS >> bit & 1))
            assert_false(mov_to(4, CR4_PAE | 1ull << bit));
    }
    assert_int_equal(world.invvpids, 0);
    world_close();
}

static void test_cr8(void **state)
{
    (void)state;
    open_guest();
    for (uint64_t value = 0; value < 16; value++) {
        assert_true(mov_to(8, value));
        assert_true(access_cr(8 | MOV_FROM | REG_R15 << 8));
        assert_int_equal(world.vcpu->context.regs.r15, value);
    }
    assert_false(mov_to(8, 16));
    assert_false(mov_to(8, 1ull << 63));
    assert_true(access_cr(8 | MOV_FROM | REG_RSP << 8)); /* RSP is in the VMCS */
    assert_int_equal(fake_vmcs[VMCS_GUEST_RSP], 15);
    fake_vmcs[VMCS_GUEST_RSP] = 3;
    assert_true(access_cr(8 | REG_RSP << 8));
    assert_int_equal(vapic_cr8(&world.vcpu->vapic), 3);
    world_close();
}

/* LMSW sets and clears MP, EM and TS, and sets PE but does not clear it. */
static void test_lmsw(void **state)
{
    (void)state;
    open_guest();
    assert_true(access_cr(LMSW | 0xfff0ull << 16));
    assert_int_equal(guest_cr0(), LONG_CR0);
    assert_true(access_cr(LMSW | 0x000full << 16));
    assert_int_equal(guest_cr0(), LONG_CR0 | CR0_MP | CR0_EM | CR0_TS);
    assert_true(access_cr(LMSW | 0x0002ull << 16));
    assert_int_equal(guest_cr0(), LONG_CR0 | CR0_MP);
    world_close();
}

/* Exits that follow one another without end use up the slice by the clock. */
static void test_slice_ends_by_the_clock(void **state)
{
    (void)state;
    open_guest();
    world.vcpu->context.regs.r15 = 1;
    assert_true(access_cr(8 | REG_R15 << 8));
    assert_int_equal(world.charges, 0);
    world.vcpu->slice_end = 0;
    fake_vmcs[VMCS_EXIT_QUALIFICATION] = 8 | REG_R15 << 8;
    assert_false(vm_exit(EXIT_REASON_CR_ACCESS));
    assert_int_equal(world.charges, 1);
    assert_int_equal(vapic_cr8(&world.vcpu->vapic), 1);
    assert_true(world.vcpu->slice_end > 0);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_caching_bits_are_a_show),
        cmocka_unit_test(test_leaving_and_entering_long_mode),
        cmocka_unit_test(test_pdptes),
        cmocka_unit_test(test_cr4),
        cmocka_unit_test(test_cr8),
        cmocka_unit_test(test_lmsw),
        cmocka_unit_test(test_slice_ends_by_the_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
