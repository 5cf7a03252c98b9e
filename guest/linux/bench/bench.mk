# The microbenchmarks of Linux: $(BUILD)/linux/bench, a static program without the home of guest/linux.

LINUX_BENCH_CFLAGS := -std=c11 -O2 -g $(COMMON_WARN) -D_GNU_SOURCE -Iguest/linux/bench/include \
	-Iguest/linux/include -Iguest/include -I. -pthread -fno-pie -MMD -MP
# How rows are measured and shown is Trapline's, as is what the rows of DIRTY and MAP2 do.
LINUX_BENCH_SHARED := access dirty map2 measure report unit walk
LINUX_BENCH_C := $(sort $(wildcard guest/linux/bench/*.c)) \
	$(LINUX_BENCH_SHARED:%=guest/workloads/bench/%.c) guest/linux/pagemap.c guest/linux/tsc.c \
	guest/linux/uffd.c guest/runtime/time.c guest/common/figures.c guest/common/statistics.c
LINUX_BENCH_OBJ := $(LINUX_BENCH_C:%.c=$(BUILD)/linux/objects/bench/%.o)

linux: $(BUILD)/linux/bench

$(eval $(call flags_file,linux-bench,$(CC) $(LINUX_BENCH_CFLAGS) $(LINUX_BENCH_OBJ)))

$(BUILD)/linux/objects/bench/%.o: %.c $(BUILD)/flags/linux-bench
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(LINUX_BENCH_CFLAGS) -c $< -o $@

$(BUILD)/linux/bench: $(LINUX_BENCH_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) -static -pthread -o $@ $^

-include $(LINUX_BENCH_OBJ:.o=.d)
