# Guests: the runtime as a library, and an ELF for each workload.
#
#   guests                 every workload of guest/workloads, into $(BUILD)/guests/NAME.elf
#   $(GUEST_ELF)           the one that NAME=name or NAME=path/to/file.c names
#
# A workload is guest/workloads/NAME.c, or the folder guest/workloads/NAME with any number of .c and .asm files.

# No PIE and no red zone: a forbidden access is delivered on the stack that it finds. The compiler's
# own headers only, so that no header of the host is taken by mistake; its limits.h, told that there
# is one of a C library already, does not look for that.
GUEST_CFLAGS := -std=c11 -O2 -g -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -I. -Iguest/include \
	-ffreestanding -nostdinc -isystem $(shell $(CC) -print-file-name=include) -D_LIBC_LIMITS_H_ -fno-pic -fno-pie \
	-mno-red-zone -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-MMD -MP
GUEST_LDFLAGS := -nostdlib -static -z max-page-size=4096 -z noexecstack \
	--build-id=none -T guest/runtime/guest.ld

GUEST_LIB := $(BUILD)/guest/libtrapline.a
GUEST_START := $(BUILD)/guest/runtime/start.asm.o
# guest/common is what workloads share; it comes with the library.
GUEST_LIB_C := $(wildcard guest/runtime/*.c guest/common/*.c)
GUEST_LIB_ASM := $(filter-out guest/runtime/start.asm,$(wildcard guest/runtime/*.asm))
GUEST_LIB_OBJ := $(GUEST_LIB_C:guest/%.c=$(BUILD)/guest/%.o) \
	$(GUEST_LIB_ASM:guest/%.asm=$(BUILD)/guest/%.asm.o)

GUEST_NAMES := $(sort $(patsubst guest/workloads/%/,%,$(wildcard guest/workloads/*/)) \
	$(patsubst guest/workloads/%.c,%,$(wildcard guest/workloads/*.c)))
GUEST_ELFS := $(GUEST_NAMES:%=$(BUILD)/guests/%.elf)

# NAME may also be a file of the user's own: there a warning is no error.
GUEST_OWN_C := $(filter %.c,$(NAME))
GUEST_OWN_CFLAGS := $(filter-out -Werror,$(GUEST_CFLAGS))
GUEST_ELF := $(if $(NAME),$(BUILD)/guests/$(basename $(notdir $(NAME))).elf)

.PHONY: guests
guests: $(GUEST_ELFS)

$(eval $(call flags_file,guest-cc,$(CC) $(GUEST_CFLAGS)))
$(eval $(call flags_file,guest-lib,$(GUEST_LIB_OBJ)))

$(BUILD)/guest/%.o: guest/%.c $(BUILD)/flags/guest-cc
	@mkdir -p $(dir $@)
	$(call say,CC,$<)
	$(Q)$(CC) $(GUEST_CFLAGS) -c $< -o $@

$(BUILD)/guest/%.asm.o: guest/%.asm
	@mkdir -p $(dir $@)
	$(call say,NASM,$<)
	$(Q)$(NASM) -f elf64 -g -F dwarf -Wall -Werror -o $@ $<

# These are what the compiler would call for a loop that copies or fills.
$(BUILD)/guest/runtime/string.o: GUEST_CFLAGS += -fno-tree-loop-distribute-patterns

$(GUEST_LIB): $(GUEST_LIB_OBJ) $(BUILD)/flags/guest-lib
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)ar rcs $@ $(GUEST_LIB_OBJ)

# What a workload takes of the distribution: static libraries, which are compiled with a stack protector (the
# runtime has a canary) and with a red zone (they may be given no memory that traps), and their headers, which are
# copied so that no other one of the host is found.
GUEST_LIBS_zpage := $(shell $(CC) -print-file-name=liblz4.a)
GUEST_HEADERS_zpage := /usr/include/lz4.h

# $(1): name of the workload, $(2): its C files, $(3): its objects
define guest_rule
$(BUILD)/guests/$(1).elf: $(3) $(GUEST_START) $(GUEST_LIB) guest/runtime/guest.ld $(GUEST_LIBS_$(1))
	@mkdir -p $$(dir $$@)
	$$(call say,LD,$$@)
	$(Q)$(LD) $(GUEST_LDFLAGS) -o $$@ $(GUEST_START) $(3) $(GUEST_LIBS_$(1)) $(GUEST_LIB)
-include $(patsubst guest/%.c,$(BUILD)/guest/%.d,$(2))
$(if $(GUEST_HEADERS_$(1)),$(call guest_headers_rule,$(1),$(2)))
endef
define guest_headers_rule
$(patsubst guest/%.c,$(BUILD)/guest/%.o,$(2)): GUEST_CFLAGS += -isystem $(BUILD)/guest/headers/$(1)
$(patsubst guest/%.c,$(BUILD)/guest/%.o,$(2)): $(BUILD)/guest/headers/$(1)/copied
$(BUILD)/guest/headers/$(1)/copied: $(GUEST_HEADERS_$(1))
	$(Q)mkdir -p $$(@D) && cp $(GUEST_HEADERS_$(1)) $$(@D) && touch $$@
endef
guest_files = $(sort $(wildcard guest/workloads/$(1)/*.c guest/workloads/$(1).c))
guest_objects = $(patsubst guest/%.c,$(BUILD)/guest/%.o,$(call guest_files,$(1))) \
	$(patsubst guest/%.asm,$(BUILD)/guest/%.asm.o,$(sort $(wildcard guest/workloads/$(1)/*.asm)))
$(foreach name,$(GUEST_NAMES),\
	$(eval $(call guest_rule,$(name),$(call guest_files,$(name)),$(call guest_objects,$(name)))))

ifneq ($(GUEST_OWN_C),)
# A name of its own, so that it cannot replace one of ours.
ifneq ($(filter $(basename $(notdir $(GUEST_OWN_C))),$(GUEST_NAMES)),)
$(error guest $(basename $(notdir $(GUEST_OWN_C))) exists in guest/workloads: give $(NAME) another name)
endif
# Files of the same name in different folders have the same ELF: it is made anew for another one.
$(eval $(call flags_file,guest-own-$(basename $(notdir $(NAME))),$(CC) $(GUEST_OWN_CFLAGS) $(abspath $(NAME))))

$(GUEST_ELF): $(GUEST_OWN_C) $(GUEST_START) $(GUEST_LIB) guest/runtime/guest.ld \
		$(BUILD)/flags/guest-own-$(basename $(notdir $(NAME)))
	@mkdir -p $(dir $@)
	$(call say,CC,$<)
	$(Q)$(CC) $(GUEST_OWN_CFLAGS) -MT $@ -MF $(@:.elf=.d) -c $< -o $(@:.elf=.o)
	$(call say,LD,$@)
	$(Q)$(LD) $(GUEST_LDFLAGS) -o $@ $(GUEST_START) $(@:.elf=.o) $(GUEST_LIB)

-include $(GUEST_ELF:.elf=.d)
endif

-include $(GUEST_LIB_OBJ:.o=.d)
