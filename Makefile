# Trapline: `make help` lists what this file does.
BUILD := build

CC := gcc
LD := ld
NASM := nasm
PYTHON := python3

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif

# V=1 shows the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-4s %s\n' '$1' '$2')

COMMON_WARN := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes

.PHONY: FORCE
FORCE:

# $(call flags_file,NAME,TEXT): a rule for $(BUILD)/flags/NAME, a file that changes when the text (a
# command line, a list of objects) does. What is made by that text depends on the file.
define flags_file
$(BUILD)/flags/$1: FORCE
	$$(shell mkdir -p $$(@D))$$(file >$$@.new,$2)@cmp -s $$@.new $$@ && rm $$@.new || mv $$@.new $$@
endef

# The hypervisor: freestanding, linked high, no vector registers (the guest's stay live in root mode).
HV_CFLAGS := -std=c11 -O2 -g $(COMMON_WARN) -I. -Iguest/include -ffreestanding -fno-pic -fno-pie \
	-mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fno-omit-frame-pointer -fcf-protection=none \
	-fno-stack-protector -fno-asynchronous-unwind-tables -fno-strict-aliasing -MMD -MP
HV_LDFLAGS := -nostdlib -static -z max-page-size=4096 -z noexecstack -T linker.ld
HV_C := $(sort $(wildcard hv/*.c vmx/*.c ept/*.c))
HV_ASM := $(sort $(wildcard hv/*.asm vmx/*.asm))
HV_OBJ := $(HV_C:%.c=$(BUILD)/hv/%.o) $(HV_ASM:%.asm=$(BUILD)/hv/%.asm.o)

.PHONY: all hv
all: hv

hv: $(BUILD)/hv.elf

$(eval $(call flags_file,hv-cc,$(CC) $(HV_CFLAGS)))
$(eval $(call flags_file,hv-ld,$(LD) $(HV_LDFLAGS) $(HV_OBJ)))

$(BUILD)/hv.elf: $(HV_OBJ) linker.ld $(BUILD)/flags/hv-ld
	$(call say,LD,$@)
	$(Q)$(LD) $(HV_LDFLAGS) -o $@ $(HV_OBJ)

$(BUILD)/hv/%.o: %.c $(BUILD)/flags/hv-cc
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(HV_CFLAGS) -c $< -o $@

$(BUILD)/hv/%.asm.o: %.asm $(BUILD)/flags/hv-cc
	@mkdir -p $(@D)
	$(call say,NASM,$<)
	$(Q)$(NASM) -f elf64 -g -F dwarf -Wall -Werror -o $@ $<

-include $(HV_OBJ:.o=.d)

# The UEFI loader: $(BUILD)/BOOTX64.EFI. The guests: $(BUILD)/guests/NAME.elf.
-include boot/boot.mk
-include guest/guest.mk
