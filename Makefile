# Trapline: `make help` lists what this file does.
BUILD := build

CC := gcc
LD := ld
NASM := nasm

COMMON_WARN := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes

# The hypervisor: freestanding, linked high, no vector registers (the guest's stay live in root mode).
HV_CFLAGS := -std=c11 -O2 -g $(COMMON_WARN) -I. -Iguest/include -ffreestanding -fno-pic -fno-pie \
	-mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fno-omit-frame-pointer -fcf-protection=none \
	-fno-stack-protector -fno-asynchronous-unwind-tables -fno-strict-aliasing -MMD -MP
HV_C := $(wildcard hv/*.c vmx/*.c ept/*.c)
HV_ASM := $(wildcard hv/*.asm vmx/*.asm)
HV_OBJ := $(HV_C:%.c=$(BUILD)/hv/%.o) $(HV_ASM:%.asm=$(BUILD)/hv/%.asm.o)

.PHONY: all hv
all: hv

hv: $(BUILD)/hv.elf

$(BUILD)/hv.elf: $(HV_OBJ) linker.ld
	$(LD) -nostdlib -static -z max-page-size=4096 -z noexecstack -T linker.ld -o $@ $(HV_OBJ)

$(BUILD)/hv/%.o: %.c
	@mkdir -p $(dir $@)
	$(CC) $(HV_CFLAGS) -c $< -o $@

$(BUILD)/hv/%.asm.o: %.asm
	@mkdir -p $(dir $@)
	$(NASM) -f elf64 -g -F dwarf -Wall -Werror -o $@ $<

-include $(HV_OBJ:.o=.d)
