"""CPU temperatures: which sensors measure them, and which of their readings are believable."""

from __future__ import annotations

from pathlib import Path

from twin_harness.system.procfs import read_text

LEAST_CRITICAL_CELSIUS = 50.0
# A sensor without a chip behind it says 0, -128 or 255.5; CPUs switch themselves off below 150 °C.
_LEAST_CELSIUS, _MOST_CELSIUS = 0.0, 150.0


def believable_celsius(data: bytes) -> float:
    """Return a sensor's reading (millidegrees) in °C.

    NaN where it is not a number, or not a temperature that a running CPU can have.
    """
    try:
        celsius = int(data) / 1000.0
    except ValueError:
        return float("nan")
    if _LEAST_CELSIUS < celsius < _MOST_CELSIUS:
        return celsius
    return float("nan")


def cpu_temperature_files(root: str = "/sys/class/hwmon") -> list[tuple[str, float]]:
    """Return the files of CPU temperatures (millidegrees), each with its critical value in °C.

    The critical value is NaN where the sensor names none. Of AMD's two figures for one die, Tdie
    counts: Tctl, for fans, is up to 27 °C above it (hwmon/k10temp.rst). The board's own sensor
    (acpitz), often a constant, counts where there is no other.
    """
    of_chips: list[tuple[str, float]] = []
    of_board: list[tuple[str, float]] = []
    for chip in sorted(Path(root).glob("hwmon*")):
        name = read_text(chip / "name")
        if name not in ("coretemp", "k10temp", "zenpower", "cpu_thermal", "acpitz"):
            continue
        labels = {
            path: read_text(str(path).replace("_input", "_label"))
            for path in sorted(chip.glob("temp*_input"))
        }
        for path, label in labels.items():
            if label == "Tctl" and "Tdie" in labels.values():
                continue
            if name == "acpitz":
                of_board.append((str(path), float("nan")))
            else:
                of_chips.append((str(path), _critical_celsius(str(path))))
    return of_chips or of_board


def _critical_celsius(path: str) -> float:
    """Return at what temperature a sensor's chip is in danger, in °C; NaN where that is not known.

    Boards are known to call 0 or 20 °C critical: such a value says nothing.
    """
    text = read_text(path.replace("_input", "_crit"))
    if text.isdecimal() and int(text) / 1000.0 >= LEAST_CRITICAL_CELSIUS:
        return int(text) / 1000.0
    return float("nan")
