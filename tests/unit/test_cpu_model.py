"""What kind of CPU this is.

Told apart on every architecture, and by numbers where there are no names.
"""

import pytest

from twin_harness.system.cpu_model import cpu_model, model_key


def arm(*cores):
    """A /proc/cpuinfo of arm64 with such cores (implementer, part, variant)."""
    return "\n".join(
        f"processor\t: {number}\nBogoMIPS\t: 243.75\nCPU implementer\t: {implementer}\nCPU"
        f" architecture: 8\nCPU variant\t: {variant}\nCPU part\t: {part}\nCPU revision\t: 1\n"
        for number, (implementer, part, variant) in enumerate(cores)
    )


N1, V1, UNKNOWN = ("0x41", "0xd0c", "0x3"), ("0x41", "0xd40", "0x1"), ("0x99", "0xfff", "0x0")
LITTLE, BIG = ("0x41", "0xd05", "0x2"), ("0x41", "0xd0b", "0x4")
NAMED = (
    "CPU implementer\t: 0x41\nCPU variant\t: 0x0\nCPU part\t: 0xd0b\n\nModel\t\t: Raspberry Pi 5"
    " Model B Rev 1.0\n"
)
V7 = (
    "processor\t: 0\nmodel name\t: ARMv7 Processor rev 4 (v7l)\nCPU implementer\t: 0x41\nCPU"
    " variant\t: 0x0\nCPU part\t: {}\n"
)


@pytest.mark.parametrize(
    ("cpuinfo", "model"),
    [
        ("processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n", "AMD EPYC"),
        (arm(N1, N1), "Neoverse-N1 (0x41/0xd0c/0x3)"),
        (arm(V1), "Neoverse-V1 (0x41/0xd40/0x1)"),
        (arm(LITTLE, LITTLE, BIG), "Cortex-A55 (0x41/0xd05/0x2) + Cortex-A76 (0x41/0xd0b/0x4)"),
        (arm(UNKNOWN), "ARM core (0x99/0xfff/0x0)"),
        (NAMED, "Raspberry Pi 5 Model B Rev 1.0"),
        (V7.format("0xc07"), "Cortex-A7 (0x41/0xc07/0x0)"),
        (
            (
                "processor\t: 0\ncpu\t\t: POWER9 (architected), altivec supported\nmachine\t\t:"
                " CHRP IBM\n"
            ),
            "POWER9 (architected), altivec supported",
        ),
        (
            (
                "vendor_id       : IBM/S390\n# processors    : 2\nprocessor 0: version = FF, "
                " identification = 0133E8,  machine = 8561\n"
            ),
            "IBM/S390 8561",
        ),
        (
            (
                "processor\t: 0\nhart\t\t: 1\nisa\t\t: rv64imafdc\nmmu\t\t: sv39\nuarch\t\t:"
                " sifive,u74-mc\n"
            ),
            "sifive,u74-mc",
        ),
        (
            "isa\t: rv64imafdc\nmvendorid\t: 0x5b7\nmarchid\t: 0x80000000090c0d00\n",
            "0x5b7 0x80000000090c0d00",
        ),
        ("isa\t: rv64imafdc\n", "rv64imafdc"),
        (
            "system type\t: Octeon\ncpu model\t\t: Cavium Octeon III V0.2\n",
            "Cavium Octeon III V0.2",
        ),
        ("CPU Family\t\t: Loongson-64bit\nModel Name\t\t: Loongson-3A5000\n", "Loongson-3A5000"),
        ("", ""),
        ("no colon here\nCPU part\t: rubbish\n", "ARM core (0x00/0x000/0x0)"),
    ],
)
def test_the_model_is_said_on_every_architecture(cpuinfo, model):
    """By the kernel's word for it, else by the numbers that it is known by."""
    assert cpu_model(cpuinfo) == model


@pytest.mark.parametrize(
    ("one", "other"),
    [(arm(N1), arm(V1)), (arm(N1), arm(BIG, LITTLE)), (V7.format("0xc07"), V7.format("0xc0f"))],
)
def test_different_cores_are_different_models(one, other):
    """Where the kernel has no name, or the same one for all cores of an architecture."""
    assert model_key(cpu_model(one)) != model_key(cpu_model(other))


def test_a_name_that_is_added_later_changes_no_fingerprint():
    """The key of an ARM model is its numbers.

    That of any other is its name, parentheses and all.
    """
    assert (
        model_key("Neoverse-N1 (0x41/0xd0c/0x3)")
        == model_key("ARM core (0x41/0xd0c/0x3)")
        == "0x41/0xd0c/0x3"
    )
    assert model_key(cpu_model(arm(BIG, LITTLE))) == "0x41/0xd05/0x2+0x41/0xd0b/0x4"
    assert model_key("Intel(R) Xeon(R) Processor") == "Intel(R) Xeon(R) Processor"
