"""A machine that is nobody's: two CPUs of four, half its memory allowed."""

from twin_harness.system.machine import Machine

GIB = 1024**3
MACHINE = Machine(
    host="h",
    cpu_model="Some CPU @ 2 GHz",
    virtualisation="qemu",
    kernel="6.18.3-generic",
    governor="performance",
    cpus=(0, 1),
    possible_cpus=(0, 1, 2, 3),
    cpu_capacity=2.0,
    memory_total_bytes=16 * GIB,
    memory_limit_bytes=8 * GIB,
    swap_bytes=0,
    scratch_dir="/data/scratch",
    scratch_filesystem="ext4",
    scratch_device="vda",
)
