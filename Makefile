# Trapline: `make help` lists what this file does.
BUILD := build

CC := gcc
LD := ld
NASM := nasm
PYTHON := python3

.DEFAULT_GOAL := all
.SECONDARY:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory
ifeq ($(MAKELEVEL)$(filter -j% --jobserver%,$(MAKEFLAGS)),0)
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
all: parts

hv: $(BUILD)/hv.elf

# On the path of every exit a leaf function does without a frame, though a backtrace then skips its caller.
HV_HOT := hv/exit hv/hypercall hv/leaf ept/%
HV_HOT_CFLAGS := -momit-leaf-frame-pointer
$(eval $(call flags_file,hv-cc,$(CC) $(HV_CFLAGS) $(HV_HOT) $(HV_HOT_CFLAGS)))
$(eval $(call flags_file,hv-ld,$(LD) $(HV_LDFLAGS) $(HV_OBJ)))

$(BUILD)/hv.elf: $(HV_OBJ) linker.ld $(BUILD)/flags/hv-ld
	$(call say,LD,$@)
	$(Q)$(LD) $(HV_LDFLAGS) -o $@ $(HV_OBJ)

$(BUILD)/hv/%.o: %.c $(BUILD)/flags/hv-cc
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(HV_CFLAGS) $(if $(filter $(HV_HOT),$*),$(HV_HOT_CFLAGS)) -c $< -o $@

$(BUILD)/hv/%.asm.o: %.asm $(BUILD)/flags/hv-cc
	@mkdir -p $(@D)
	$(call say,NASM,$<)
	$(Q)$(NASM) -f elf64 -g -F dwarf -Wall -Werror -o $@ $<

$(BUILD)/hv/vmx/entry.asm.o: vmx/entry_offsets.inc

-include $(HV_OBJ:.o=.d)

# The UEFI loader: $(BUILD)/BOOTX64.EFI. The guests: $(BUILD)/guests/NAME.elf.
include boot/boot.mk
include guest/guest.mk

# The same workloads for Linux: $(BUILD)/linux/NAME.
include guest/linux/linux.mk

# What boots Linux in an emulator to run them there: $(BUILD)/linux/boot.
include tools/linux/linux.mk

# Guests of the boot tests: tests/boot/NAME/GUEST.c is $(BUILD)/tests/boot/NAME/GUEST.elf.
TEST_GUEST_C := $(sort $(wildcard tests/boot/*/*.c tests/hostile/*/*.c))
TEST_GUEST_ELF := $(TEST_GUEST_C:%.c=$(BUILD)/%.elf)
TEST_GUEST_CFLAGS = $(GUEST_CFLAGS) -Itests/guest

$(eval $(call flags_file,test-guest,$(CC) $$(TEST_GUEST_CFLAGS) $$(GUEST_LDFLAGS)))

$(BUILD)/tests/%.o: tests/%.c $(BUILD)/flags/test-guest
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(TEST_GUEST_CFLAGS) -c $< -o $@

$(BUILD)/tests/%.elf: $(BUILD)/tests/%.o $(GUEST_START) $(GUEST_LIB) guest/runtime/guest.ld
	$(call say,LD,$@)
	$(Q)$(LD) $(GUEST_LDFLAGS) -o $@ $(GUEST_START) $< $(GUEST_LIB)

-include $(TEST_GUEST_ELF:.elf=.d)

# Unit tests: tests/unit/test_NAME.c with the sources that UNIT_test_NAME names in sources.mk, on the
# host. UNIT_FLAGS_test_NAME: more flags for that one.
include tests/unit/sources.mk
UNIT_CFLAGS := -std=c11 -g -O1 -I. -Iguest/include $(COMMON_WARN) -fsanitize=address,undefined \
	-fno-sanitize-recover=all -fno-omit-frame-pointer -MMD -MP
# ONLY=TEXT limits the tests to those with TEXT in their name (unit/test_x, boot/x, hostile/x).
UNIT_TESTS := $(foreach test,$(patsubst tests/unit/%.c,%,$(sort $(wildcard tests/unit/test_*.c))),\
	$(if $(ONLY),$(if $(findstring $(ONLY),unit/$(test)),$(test)),$(test)))
UNIT_PROGRAMS := $(UNIT_TESTS:%=$(BUILD)/unit/%)

# $(call unit_test,NAME)
define unit_test
$(if $(filter undefined,$(origin UNIT_$1)),$(error tests/unit/sources.mk has no UNIT_$1))
$(call flags_file,unit-$1,$(CC) $(UNIT_CFLAGS) $(UNIT_FLAGS_$1) $(UNIT_$1))

$(BUILD)/unit/$1.objects/%.o: %.c $(BUILD)/flags/unit-$1
	@mkdir -p $$(@D)
	$$(call say,CC,$$<)
	$(Q)$(CC) $(UNIT_CFLAGS) $(UNIT_FLAGS_$1) -c $$< -o $$@

$(BUILD)/unit/$1: $(patsubst %.asm,$(BUILD)/hv/%.asm.o,\
		$(patsubst %.c,$(BUILD)/unit/$1.objects/%.o,tests/unit/$1.c $(UNIT_$1)))
	$(Q)$(CC) $(UNIT_CFLAGS) $(UNIT_FLAGS_$1) -o $$@ $$^ -lcmocka

-include $(patsubst %.c,$(BUILD)/unit/$1.objects/%.d,$(filter %.c,tests/unit/$1.c $(UNIT_$1)))
endef
ifneq ($(filter unit-programs,$(MAKECMDGOALS)),)
$(foreach test,$(UNIT_TESTS),$(eval $(call unit_test,$(test))))
endif

.PHONY: help setup setup-bench parts image run bench bench-quick bench-native bench-add bench-compare bench-accept \
	report test test-unit test-boot test-matrix unit-programs guest format check-format clean

parts: hv $(BUILD)/BOOTX64.EFI guests $(filter $(BUILD)/guests/%,$(GUEST_ELF))

unit-programs: $(UNIT_PROGRAMS)

test-parts: parts linux-side $(TEST_GUEST_ELF)

# What is run on Linux in an emulator.
.PHONY: linux-side
linux-side: linux-boot linux-static $(BUILD)/linux/bench

# The packages come before anything that needs them, even before make reads what they bring.
setup:
	@tools/setup

run: setup
	@$(MAKE) parts
	@tools/run

# Side by side with Linux; what it needs beyond the rest comes with it.
bench bench-quick: setup-bench
	@$(MAKE) parts linux-side
	@tools/bench run $(if $(filter bench-quick,$@),--quick)

bench-native: setup
	@$(MAKE) $(BUILD)/linux/bench
	@tools/bench native

# FILE=: a results.json, a console's log, or a table that was typed; MODEL=, CPUS=: what it does not say itself.
bench-add:
	$(if $(FILE),,$(error FILE=file is missing: a results.json, the log of a console, or a typed table))
	@tools/bench add "$(FILE)" $(if $(MODEL),--model "$(MODEL)") $(if $(CPUS),--cpus $(CPUS)) \
		$(if $(OTHERS),--others $(OTHERS)) $(if $(MEM),--mem $(MEM)) $(if $(ENGINE),--engine $(ENGINE))

setup-bench:
	@tools/setup bench

# A=old.json B=new.json: what differs in the results of two runs.
bench-compare:
	$(if $(and $(A),$(B)),,$(error A=old.json and B=new.json are missing: two results.json))
	@tools/compare "$(A)" "$(B)"

# The figures of now become the baseline that the tests compare with.
bench-accept: setup
	@$(MAKE) test-parts
	@ACCEPT=1 ONLY="boot/bench" tests/run boot

# RESULTS=file: another results.json than that of make bench.
report:
	@tools/report "$(or $(RESULTS),$(BUILD)/bench/results.json)"

image: setup
	@$(MAKE) parts
	@tools/mkimage $(BUILD)/trapline.img

# Of the programs for Linux the tests need all or, where ONLY names others, none.
TEST_LINUX := $(if $(filter unit/% model/% tools/% boot/% hostile/%,$(ONLY)),,linux)

test: setup-bench
	@$(MAKE) test-parts unit-programs $(TEST_LINUX)
	@tests/run unit model tools linux boot

test-unit: setup-bench
	@$(MAKE) unit-programs $(TEST_LINUX)
	@tests/run unit model tools linux

test-boot: setup-bench
	@$(MAKE) test-parts
	@tests/run boot

# UPDATE=README.md: put the table in its place there, too.
test-matrix: setup
	@$(MAKE) test-parts
	@tools/matrix $(if $(UPDATE),--update $(UPDATE))

guest: setup
	$(if $(NAME),,$(error NAME=name or NAME=path/to/file.c is missing; in guest/workloads: $(GUEST_NAMES)))
	@$(MAKE) $(GUEST_ELF)
	@echo "$(GUEST_ELF) (make run GUEST=$(GUEST_ELF))"

FORMAT_FILES = $(shell git ls-files --cached --others --exclude-standard '*.c' '*.h')

format: setup
	@clang-format -i $(FORMAT_FILES)

check-format: setup
	@clang-format --dry-run --Werror $(FORMAT_FILES)

clean:
	rm -rf $(BUILD)

help:
	@sed -n 's/^#> \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

#> make run           build, boot in an emulator, show the guest's console; results in build/run/
#> make bench         the benchmarks on Trapline and on Debian's Linux in the same emulator, in one table;
#>                    build/bench/; make bench-quick: less of it in a fifth of the time. Their variables
#>                    (SYSTEM, MITIGATIONS, KERNEL, ONLY, JOBS, RESULTS): docs/PERFORMANCE.md
#> make bench-native  those of Linux on this host itself
#> make bench-add FILE=x
#>                    adds what another machine measured: results.json, a console's log, a typed table
#> make bench-compare A=old.json B=new.json
#>                    what differs in the results of two runs
#> make bench-accept  the figures of now become the baseline of the tests
#> make report        tables, pictures and a page of build/bench/results.json, or of RESULTS=file
#> make test          unit tests, models and workloads on this host, boot tests in the emulator
#> make test-unit     the first half of it
#> make test-boot     the second half of it
#> make test-matrix   the contract on each CPU model of Bochs, as the table that the README has
#> make image         build/trapline.img, a disk image for a USB stick
#> make linux         the portable workloads as programs of Linux: build/linux/NAME, .../asan, .../tsan,
#>                    and the microbenchmarks of Linux itself: build/linux/bench
#> make guest NAME=x  build a guest: guest/workloads/x, or the C file x
#> make               build the hypervisor, the loader and the guests
#> make setup         install the Debian packages that are missing (the targets above do it, too)
#> make format        clang-format all C sources; make check-format only looks
#> make clean         remove build/
#>
#> Variables of make run (make image takes those of the guest, CONF and MEM, too):
#>   ENGINE=bochs|kvm   the emulator; by itself kvm where nested VMX works, else bochs
#>   MODEL=name         the CPU: of Bochs (tigerlake) or what QEMU's -cpu takes (host)
#>   CPUS=n             CPUs of the machine (1)
#>   MEM=MiB            memory of the machine (512)
#>   GUEST=name|file    the guest: one of guest/workloads or an ELF file (bench)
#>   GUEST_MEM=MiB      memory of the guest (by MEM: 192 of 512, shared by the copies)
#>   VCPUS=n            virtual CPUs of the guest (1)
#>   PIN=0,2            the CPUs that its virtual CPUs are pinned to, in turn (all CPUs)
#>   COPIES=n           how many guests of this kind at once (1)
#>   REPEAT=n           how many times each runs, one after the other (1)
#>   ARGS="..."         the guest's arguments
#>   DISABLE=ve,pml     features of the CPU to leave unused, to try the fallbacks; a wrong one
#>                      gets the list
#>   MEASURE=costs      before the guests: what the CPU's own events cost (docs/PERFORMANCE.md)
#>   DISK=MiB|file      a disk of the guest's own: a new one of that size, or a file that keeps
#>                      what is written to it (with CONF: its `disk = ata1` says whose it is)
#>   CONF=file          a trapline.conf of your own instead of all that is the guest's;
#>                      images are looked up beside it and in build/guests
#>   BOCHS=path         another Bochs
#>   OVMF=path          another UEFI firmware for the emulator
#>   TIMEOUT=s          how long a run may take (180)
#>   VERBOSE=1          Bochs logs why a VM entry fails (build/run/bochs.log)
#> Variables of make test:
#>   ONLY=text          only tests with this text in their name
#>   BOCHS=path         another Bochs
#>   JOBS=n             machines at once (one for each CPU of this host)
#> V=1 shows the commands of the build.
