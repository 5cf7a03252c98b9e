# Workloads as programs of Linux, with the home of guest/linux under them: $(BUILD)/linux/NAME, and
# with sanitizers $(BUILD)/linux/asan/NAME (ASan and UBSan) and $(BUILD)/linux/tsan/NAME. And
# $(BUILD)/linux/static/NAME, linked statically, for a Linux that has no libraries.
#
# Those of guest/workloads are taken, and those guests of tests/boot, that include
# <trapline/portable.h>; and the programs of tests/linux.

# The home's headers come before those of the same name.
LINUX_CFLAGS := -std=c11 -O2 -g $(COMMON_WARN) -Iguest/linux/include -Iguest/include -I. -pthread \
	-fno-omit-frame-pointer -MMD -MP
LINUX_VARIANTS := plain asan tsan
LINUX_FLAGS_static := -static
# What the compiler thinks uninitialized in instrumented code is often not; the plain build has that warning.
LINUX_FLAGS_asan := -fsanitize=address,undefined -fno-sanitize-recover=all -Wno-maybe-uninitialized
LINUX_FLAGS_tsan := -fsanitize=thread -Wno-maybe-uninitialized
# Programs keep to what C and POSIX have; the home needs what is Linux' own.
LINUX_PROGRAM_CFLAGS := -D_POSIX_C_SOURCE=200809L -Itests/guest
LINUX_HOME_CFLAGS := -D_GNU_SOURCE

LINUX_SHARED := sync.c thread.c time.c names.c region_lock.c region_set.c
LINUX_HOME_C := $(sort $(wildcard guest/linux/*.c guest/common/*.c) $(LINUX_SHARED:%=guest/runtime/%))
LINUX_NAMES := $(sort $(foreach file,$(shell grep -l '<trapline/portable.h>' -r guest/workloads),\
	$(basename $(word 3,$(subst /, ,$(file))))))
LINUX_TEST_C := $(shell grep -l '<trapline/portable.h>' tests/boot/*/*.c) $(wildcard tests/linux/*.c)
LINUX_TESTS := $(basename $(notdir $(LINUX_TEST_C)))

linux_files = $(or $(filter %/$1.c,$(LINUX_TEST_C)),$(call guest_files,$1))
linux_folder = $(BUILD)/linux$(if $(filter plain,$1),,/$1)
LINUX_PROGRAMS := $(foreach variant,$(LINUX_VARIANTS),\
	$(addprefix $(call linux_folder,$(variant))/,$(LINUX_NAMES) $(LINUX_TESTS)))

.PHONY: linux linux-static
linux: $(LINUX_PROGRAMS)
linux-static: $(LINUX_NAMES:%=$(BUILD)/linux/static/%)

# $(call linux_variant,VARIANT)
define linux_variant
$(call flags_file,linux-$1,$(CC) $(LINUX_CFLAGS) $(LINUX_FLAGS_$1) $(LINUX_HOME_C))

$(BUILD)/linux/objects/$1/%.o: %.c $(BUILD)/flags/linux-$1
	@mkdir -p $$(@D)
	$$(call say,CC,$$<)
	$(Q)$(CC) $(LINUX_CFLAGS) $(LINUX_FLAGS_$1) \
		$$(if $$(filter $(LINUX_HOME_C),$$<),$(LINUX_HOME_CFLAGS),$(LINUX_PROGRAM_CFLAGS)) -c $$< -o $$@

-include $(LINUX_HOME_C:%.c=$(BUILD)/linux/objects/$1/%.d)
endef
$(foreach variant,$(LINUX_VARIANTS) static,$(eval $(call linux_variant,$(variant))))

# $(call linux_program,VARIANT,NAME,FILES)
define linux_program
$(call linux_folder,$1)/$2: $(patsubst %.c,$(BUILD)/linux/objects/$1/%.o,$(LINUX_HOME_C) $3)
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$(Q)$(CC) $(LINUX_CFLAGS) $(LINUX_FLAGS_$1) -o $$@ $$^ $(GUEST_LIBS_$2)

-include $(patsubst %.c,$(BUILD)/linux/objects/$1/%.d,$3)
endef
$(foreach variant,$(LINUX_VARIANTS) static,$(foreach name,$(LINUX_NAMES) $(LINUX_TESTS),\
	$(eval $(call linux_program,$(variant),$(name),$(call linux_files,$(name))))))

include guest/linux/bench/bench.mk
