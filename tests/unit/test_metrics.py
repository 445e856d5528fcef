"""The registry of columns.

The order of the file, spelled out once more, and names that end in their unit.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_harness import metrics

COLUMN_TEXT = """
time monotonic_s host partition experiment active_events
cpu_requested_percent cpu_delivered_percent memory_requested_bytes memory_delivered_bytes
disk_requested_bytes_per_s disk_delivered_bytes_per_s
cpu_side_percent cpu_background_percent harness_cpu_percent
cpu_percent cpu_user_percent cpu_system_percent cpu_iowait_percent cpu_steal_percent
cpu_irq_percent
cpu0_percent cpu1_percent
cpu_frequency_hz context_switches_per_s interrupts_per_s processes_created_per_s processes_running
processes_blocked processes_total load1 load5 load15
memory_percent memory_used_bytes memory_available_bytes memory_cached_bytes memory_dirty_bytes
memory_writeback_bytes
swap_percent swap_in_bytes_per_s swap_out_bytes_per_s page_faults_per_s major_page_faults_per_s
disk_read_bytes_per_s disk_write_bytes_per_s disk_reads_per_s disk_writes_per_s disk_busy_percent
disk_queue_depth disk_used_percent
network_sent_bytes_per_s network_received_bytes_per_s network_errors_per_s network_drops_per_s
network_loopback_bytes_per_s
pressure_cpu_percent pressure_memory_percent pressure_io_percent pressure_memory_full_percent
pressure_io_full_percent
temperature_celsius power_watts
probe_wakeup_ms probe_cpu_ms probe_disk_ms probe_service_ms
lateness_ms missed_samples sample_cost_us
"""
COLUMNS_OF_TWO_CPUS = COLUMN_TEXT.split()

SUFFIX_OF_UNIT = {
    "percent": "_percent",
    "bytes": "_bytes",
    "bytes/s": "_bytes_per_s",
    "1/s": "_per_s",
    "s": "_s",
    "ms": "_ms",
    "us": "_us",
    "Hz": "_hz",
    "Cel": "_celsius",
    "W": "_watts",
}
WITHOUT_UNIT = {
    "time", "host", "partition", "experiment", "active_events",
    "processes_running", "processes_blocked", "processes_total", "load1", "load5", "load15",
    "disk_queue_depth", "missed_samples",
}  # fmt: skip
SLOW = {
    "cpu_frequency_hz", "processes_total", "swap_in_bytes_per_s", "swap_out_bytes_per_s",
    "page_faults_per_s", "major_page_faults_per_s", "disk_used_percent",
    "temperature_celsius", "power_watts",
}  # fmt: skip
EVERY = metrics.columns((0, 1))


def test_the_columns_stand_in_the_order_of_the_file():
    """A dataset of two CPUs has exactly the columns spelled out above, in their order."""
    assert [metric.name for metric in EVERY] == COLUMNS_OF_TWO_CPUS


def test_names_are_unique():
    """No column stands twice, also with many CPUs."""
    names = [metric.name for metric in metrics.columns(tuple(range(512)))]
    assert len(set(names)) == len(names)


def test_cpu_columns_follow_the_machine():
    """Only possible CPUs have columns, in order, between cpu_irq_percent and cpu_frequency_hz."""
    names = [metric.name for metric in metrics.columns((0, 2, 17))]
    first = names.index("cpu_irq_percent")
    assert names[first : first + 5] == [
        "cpu_irq_percent",
        "cpu0_percent",
        "cpu2_percent",
        "cpu17_percent",
        "cpu_frequency_hz",
    ]


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_a_name_ends_in_its_unit(metric):
    """Quantities end in their unit; labels, counts and load averages are listed by name."""
    if metric.name in WITHOUT_UNIT:
        assert metric.unit in ("", "1", "UTC")
    else:
        assert metric.name.endswith(SUFFIX_OF_UNIT[metric.unit])


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_a_metric_is_described_whole(metric):
    """Each has a definition of one sentence, a range that is one, and words of the fixed sets."""
    assert metric.definition.endswith(".")
    assert "\n" not in metric.definition
    assert metric.minimum is None or metric.maximum is None or metric.minimum < metric.maximum
    assert metric.better in ("lower", "higher", "")
    assert metric.scale in ("ratio", "difference")
    assert metric.group in (
        "identity",
        "contract",
        "cpu",
        "memory",
        "disk",
        "network",
        "pressure",
        "sensor",
        "probe",
        "self",
    )


def test_the_slow_group_is_the_format_s():
    """Exactly the figures that are read once a second are marked slow."""
    assert {metric.name for metric in EVERY if metric.is_slow} == SLOW


def test_background_may_be_negative():
    """Background is a difference of unequal clocks, so it is not clipped at zero."""
    assert metrics.by_name("cpu_background_percent").minimum is None


@pytest.mark.parametrize("name", COLUMNS_OF_TWO_CPUS)
def test_every_column_is_found_by_name(name):
    """A name leads to its own metric."""
    assert metrics.by_name(name).name == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "cpu",
        "cpu_percent ",
        "CPU_PERCENT",
        "cpu-1_percent",
        "cpux_percent",
        "cpu1_percent_percent",
        "dt_s",
    ],
)
def test_other_names_lead_nowhere(name):
    """A name that is no column gives None."""
    assert metrics.by_name(name) is None


@pytest.mark.parametrize("cpu", [0, 9, 10, 511, 8191])
def test_a_cpu_s_column_is_found_on_any_machine(cpu):
    """Per-CPU columns are known without knowing the machine."""
    assert metrics.by_name(f"cpu{cpu}_percent") == metrics.per_cpu(cpu)


@given(
    st.one_of(st.text(), st.text(alphabet="0123456789٣²", min_size=1).map("cpu{}_percent".format))
)
def test_a_found_metric_bears_the_name_asked_for(name):
    """Looking up any text gives None or the metric of exactly that name, never an error."""
    found = metrics.by_name(name)
    assert found is None or found.name == name


def test_an_absurd_cpu_number_leads_nowhere():
    """A name with thousands of digits gives None."""
    assert metrics.by_name(f"cpu{'9' * 5000}_percent") is None


def test_each_resource_has_a_requested_and_a_delivered_column():
    """The contract's pairs are columns of one unit, requested first."""
    assert set(metrics.RESOURCE_COLUMNS) == {"cpu", "memory", "disk"}
    for resource, (requested, delivered) in metrics.RESOURCE_COLUMNS.items():
        assert requested.startswith(f"{resource}_requested_")
        assert delivered == requested.replace("requested", "delivered")
        assert metrics.by_name(requested).unit == metrics.by_name(delivered).unit


def test_a_metric_cannot_be_changed():
    """The registry is one for the whole process and frozen."""
    with pytest.raises(AttributeError):
        EVERY[0].name = "other"
