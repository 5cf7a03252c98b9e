# What each unit test links beside itself.
UNIT_test_extents := hv/extents.c
UNIT_test_paging := hv/paging.c
UNIT_test_printf := hv/format.c
UNIT_test_screen := hv/screen.c hv/font.c
UNIT_test_series := hv/series.c hv/format.c
UNIT_test_symbols := hv/symbols.c
UNIT_test_gc_pauses := guest/workloads/gc/pauses.c
UNIT_test_guest_args := guest/runtime/args.c
UNIT_test_guest_heap := guest/runtime/heap.c guest/runtime/pages.c
UNIT_test_guest_block := guest/common/block.c
UNIT_test_guest_disk := tests/unit/fake_ata.c guest/runtime/ata.c guest/runtime/disk.c
UNIT_FLAGS_test_guest_disk := -iquote tests/unit/fake_port
UNIT_test_guest_printf := guest/runtime/format.c
UNIT_test_guest_options := guest/common/options.c guest/runtime/names.c
UNIT_test_guest_spaces := guest/runtime/space_flush.c
UNIT_FLAGS_test_guest_spaces := -iquote tests/unit/fake_guest
UNIT_test_guest_stats := guest/common/statistics.c
UNIT_test_guest_string :=
UNIT_test_vmx_caps := vmx/caps.c vmx/controls.c
UNIT_test_vmx_controls := vmx/caps.c vmx/controls.c
UNIT_test_vmx_exits := vmx/exits.c vmx/fields.c
UNIT_test_vmx_mitigations := vmx/mitigations.c vmx/caps.c vmx/controls.c
VMX_CHECK := vmx/check.c vmx/check_controls.c vmx/check_host.c vmx/check_guest.c \
	vmx/check_segments.c vmx/caps.c vmx/controls.c vmx/exits.c vmx/fields.c
UNIT_test_vmx_check := $(VMX_CHECK)
UNIT_test_vmx_check_guest := $(VMX_CHECK)
UNIT_test_vmx_entry := vmx/entry.c vmx/entry.asm
UNIT_FLAGS_test_vmx_entry := -no-pie
UNIT_test_config := boot/config.c boot/config_guest.c boot/span.c boot/text.c hv/format.c
UNIT_test_elf := boot/elf.c
UNIT_test_linux_acpi := tools/linux/acpi.c boot/madt.c
UNIT_FLAGS_test_linux_acpi := -D_GNU_SOURCE
UNIT_test_linux_e820 := tools/linux/e820.c
UNIT_FLAGS_test_linux_e820 := -isystem $(EFI_INCLUDE) -isystem $(EFI_INCLUDE)/x86_64
UNIT_test_madt := boot/madt.c
UNIT_test_memmap := boot/memmap.c
UNIT_test_preflight := boot/preflight.c boot/text.c hv/format.c vmx/caps.c vmx/controls.c
UNIT_test_space := boot/space.c hv/paging.c
UNIT_test_brand := hv/brand.c
UNIT_test_policy_cpuid := hv/policy_cpuid.c
UNIT_test_policy_msr := hv/policy_msr.c
UNIT_test_vapic := hv/vapic.c hv/vapic_timer.c
UNIT_test_mtrr := hv/mtrr.c
EPT_TESTED := tests/unit/ept_world.c ept/alias.c ept/dirty.c ept/ept.c ept/list.c ept/log.c ept/map.c \
	ept/memory.c ept/merge.c ept/protect.c ept/table.c \
	ept/view.c ept/view_table.c
UNIT_test_ept := $(EPT_TESTED)
UNIT_FLAGS_test_ept := -DEPT_RECORD_STORES
UNIT_test_ept_dirty := $(EPT_TESTED)
UNIT_FLAGS_test_ept_dirty := -DEPT_RECORD_STORES
UNIT_test_ept_hold := $(EPT_TESTED)
UNIT_FLAGS_test_ept_hold := -DEPT_RECORD_STORES
UNIT_test_ept_view := $(EPT_TESTED)
UNIT_FLAGS_test_ept_view := -DEPT_RECORD_STORES
UNIT_test_ept_ve := $(EPT_TESTED)
UNIT_FLAGS_test_ept_ve := -DEPT_RECORD_STORES
UNIT_test_ept_random := $(EPT_TESTED) tests/unit/ept_model.c tests/unit/ept_views.c
UNIT_FLAGS_test_ept_random := -DEPT_RECORD_STORES

# hv_world.h: the exit handlers over a VMCS that is an array.
UNIT_HV_WORLD := tests/unit/hv_world.c hv/disk.c hv/pci.c hv/view.c hv/flush.c hv/vcpu_calls.c hv/primitives.c hv/protn.c hv/pml.c hv/hypercall.c hv/leaf.c hv/guest.c hv/vcpu.c \
	hv/guest_print.c \
	hv/raised.c hv/multi.c \
	hv/channel.c \
	hv/interrupt.c hv/direct.c hv/vapic.c hv/vapic_timer.c \
	hv/exit.c hv/exit_cr.c hv/policy_cpuid.c hv/policy_msr.c hv/format.c vmx/caps.c \
	vmx/controls.c vmx/exits.c vmx/fields.c vmx/entry.c vmx/mitigations.c vmx/check.c \
	vmx/check_controls.c vmx/check_host.c vmx/check_guest.c vmx/check_segments.c ept/alias.c \
	ept/dirty.c ept/ept.c ept/list.c ept/log.c ept/map.c ept/memory.c ept/merge.c ept/protect.c ept/table.c \
	ept/view.c ept/view_table.c
UNIT_test_primitives := $(UNIT_HV_WORLD)
UNIT_FLAGS_test_primitives := -iquote tests/unit/fake_vmx
UNIT_test_protn_shared := $(UNIT_HV_WORLD)
UNIT_FLAGS_test_protn_shared := -iquote tests/unit/fake_vmx
UNIT_test_ept_steps := $(EPT_TESTED)
UNIT_FLAGS_test_ept_steps := -DEPT_RECORD_STORES
UNIT_test_trap := $(UNIT_HV_WORLD)
UNIT_FLAGS_test_trap := -iquote tests/unit/fake_vmx
UNIT_test_dirty := $(UNIT_HV_WORLD)
UNIT_FLAGS_test_dirty := -iquote tests/unit/fake_vmx
UNIT_test_hypercall_random := $(UNIT_HV_WORLD)
UNIT_FLAGS_test_hypercall_random := -iquote tests/unit/fake_vmx
UNIT_test_runs := $(UNIT_HV_WORLD)
UNIT_FLAGS_test_runs := -iquote tests/unit/fake_vmx
UNIT_test_channel := $(UNIT_HV_WORLD)
UNIT_FLAGS_test_channel := -iquote tests/unit/fake_vmx
UNIT_test_exit_cr := $(UNIT_HV_WORLD)
UNIT_test_interrupt := $(UNIT_HV_WORLD)
UNIT_FLAGS_test_interrupt := -iquote tests/unit/fake_vmx
UNIT_FLAGS_test_exit_cr := -iquote tests/unit/fake_vmx
UNIT_test_raised := $(UNIT_HV_WORLD)
UNIT_FLAGS_test_raised := -iquote tests/unit/fake_vmx
UNIT_test_multi := $(UNIT_HV_WORLD)
UNIT_FLAGS_test_multi := -iquote tests/unit/fake_vmx
UNIT_test_flush := hv/flush.c
UNIT_FLAGS_test_flush := -iquote tests/unit/fake_vmx -D_GNU_SOURCE -pthread
UNIT_test_sched := hv/sched.c
UNIT_FLAGS_test_sched := -iquote tests/unit/fake_vmx -D_GNU_SOURCE
