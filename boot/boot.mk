# The UEFI loader: $(BUILD)/BOOTX64.EFI, with the hypervisor inside it.
VERSION ?= 0.1.0
OBJCOPY ?= objcopy

EFI_INCLUDE := /usr/include/efi
EFI_LIB := /usr/lib
EFI_CRT0 := $(EFI_LIB)/crt0-efi-x86_64.o
EFI_LDS := $(EFI_LIB)/elf_x86_64_efi.lds

EFI_CFLAGS := -std=c11 -O2 -g $(COMMON_WARN) -I. -isystem $(EFI_INCLUDE) \
	-isystem $(EFI_INCLUDE)/x86_64 -DGNU_EFI_USE_MS_ABI -DTRAPLINE_VERSION='"$(VERSION)"' \
	-ffreestanding -fpic -fshort-wchar -fvisibility=hidden -mno-red-zone -mgeneral-regs-only \
	-fcf-protection=none -fno-stack-protector -fno-asynchronous-unwind-tables \
	-fno-strict-aliasing -MMD -MP
EFI_LDFLAGS := -nostdlib -shared -Bsymbolic -znocombreloc -z noexecstack -T $(EFI_LDS)
# What the loader shares with the hypervisor: formatting, page tables, capabilities.
EFI_C := $(sort $(wildcard boot/*.c)) hv/format.c hv/paging.c hv/string.c vmx/caps.c vmx/controls.c
EFI_ASM := boot/embed.asm boot/leave.asm
EFI_OBJ := $(EFI_C:%.c=$(BUILD)/efi/%.o) $(EFI_ASM:%.asm=$(BUILD)/efi/%.asm.o)
EFI_SECTIONS := .text .sdata .data .dynamic .dynsym .rel .rela .rel.* .rela.* .reloc

.PHONY: efi
efi: $(BUILD)/BOOTX64.EFI

$(eval $(call flags_file,efi-cc,$(CC) $(EFI_CFLAGS)))
$(eval $(call flags_file,efi-ld,$(LD) $(EFI_LDFLAGS) $(EFI_OBJ)))

$(BUILD)/BOOTX64.EFI: $(BUILD)/efi/loader.so
	$(call say,EFI,$@)
	$(Q)$(OBJCOPY) $(EFI_SECTIONS:%=-j %) --target=efi-app-x86_64 $< $@

$(BUILD)/efi/loader.so: $(EFI_OBJ) $(BUILD)/flags/efi-ld
	$(call say,LD,$@)
	$(Q)$(LD) $(EFI_LDFLAGS) -L$(EFI_LIB) $(EFI_CRT0) $(EFI_OBJ) -o $@ -lgnuefi --no-undefined

# Symbols for backtraces stay, what a debugger wants goes.
$(BUILD)/efi/hv.elf: $(BUILD)/hv.elf
	@mkdir -p $(@D)
	$(Q)$(OBJCOPY) --strip-debug $< $@

$(BUILD)/efi/boot/embed.asm.o: $(BUILD)/efi/hv.elf

$(BUILD)/efi/%.o: %.c $(BUILD)/flags/efi-cc
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(EFI_CFLAGS) -c $< -o $@

$(BUILD)/efi/%.asm.o: %.asm $(BUILD)/flags/efi-cc
	@mkdir -p $(@D)
	$(call say,NASM,$<)
	$(Q)$(NASM) -f elf64 -DHV_ELF='"$(BUILD)/efi/hv.elf"' -Wall -Werror -o $@ $<

-include $(EFI_OBJ:.o=.d)
