# What each unit test links beside itself.
UNIT_test_extents := hv/extents.c
UNIT_test_paging := hv/paging.c
UNIT_test_printf := hv/format.c
UNIT_test_screen := hv/screen.c hv/font.c
UNIT_test_symbols := hv/symbols.c
