# What each unit test links beside itself.
UNIT_test_extents := hv/extents.c
UNIT_test_paging := hv/paging.c
UNIT_test_printf := hv/format.c
UNIT_test_screen := hv/screen.c hv/font.c
UNIT_test_symbols := hv/symbols.c
UNIT_test_guest_args := guest/runtime/args.c
UNIT_test_guest_heap := guest/runtime/heap.c guest/runtime/pages.c
UNIT_test_guest_printf := guest/runtime/format.c
UNIT_test_guest_stats := guest/workloads/bench/statistics.c
UNIT_test_guest_string :=
UNIT_test_vmx_caps := vmx/caps.c vmx/controls.c
UNIT_test_vmx_controls := vmx/caps.c vmx/controls.c
UNIT_test_vmx_exits := vmx/exits.c vmx/fields.c
UNIT_test_vmx_mitigations := vmx/mitigations.c vmx/caps.c vmx/controls.c
UNIT_test_vmx_check := vmx/check.c vmx/check_controls.c vmx/check_host.c vmx/check_guest.c vmx/check_segments.c vmx/caps.c vmx/controls.c vmx/exits.c vmx/fields.c
UNIT_test_vmx_entry := vmx/entry.c vmx/entry.asm
