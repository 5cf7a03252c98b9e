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
