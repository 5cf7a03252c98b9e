# What boots a Linux kernel in an emulator, for comparison: a UEFI loader,
# $(BUILD)/linux/boot/BOOTX64.EFI, and the first program, $(BUILD)/linux/boot/init.
LINUX_BOOT := $(BUILD)/linux/boot
LINUX_LOADER_C := tools/linux/loader.c tools/linux/acpi.c tools/linux/chipset.c tools/linux/e820.c \
	boot/cpus.c boot/files.c boot/firmware.c boot/madt.c hv/format.c hv/string.c
LINUX_LOADER_OBJ := $(LINUX_LOADER_C:%.c=$(BUILD)/efi/%.o) $(BUILD)/efi/tools/linux/jump.asm.o
LINUX_INIT_CFLAGS := -std=c11 -O2 $(COMMON_WARN) -D_GNU_SOURCE -static

.PHONY: linux-boot
linux-boot: $(LINUX_BOOT)/BOOTX64.EFI $(LINUX_BOOT)/init

$(eval $(call flags_file,linux-loader,$(LD) $(EFI_LDFLAGS) $(LINUX_LOADER_OBJ)))
$(eval $(call flags_file,linux-init,$(CC) $(LINUX_INIT_CFLAGS)))

$(LINUX_BOOT)/BOOTX64.EFI: $(LINUX_BOOT)/loader.so
	$(call say,EFI,$@)
	$(Q)$(OBJCOPY) $(EFI_SECTIONS:%=-j %) --target=efi-app-x86_64 $< $@

$(LINUX_BOOT)/loader.so: $(LINUX_LOADER_OBJ) $(BUILD)/flags/linux-loader
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LD) $(EFI_LDFLAGS) -L$(EFI_LIB) $(EFI_CRT0) $(LINUX_LOADER_OBJ) -o $@ -lgnuefi --no-undefined

$(LINUX_BOOT)/init: tools/linux/init.c $(BUILD)/flags/linux-init
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LINUX_INIT_CFLAGS) -o $@ $<

-include $(LINUX_LOADER_OBJ:.o=.d)
