; The hypervisor's ELF file inside the loader. HV_ELF is its path, given by the build.
bits 64

section .rodata align=16
global hv_elf_start
hv_elf_start:
    incbin HV_ELF
global hv_elf_end
hv_elf_end:
