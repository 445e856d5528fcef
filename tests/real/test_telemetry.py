"""The logger's sources and probes on this machine.

Psutil alone, a service however slow, the disk.
"""

import http.server
import threading
import time

import pytest

from tests.support.quick_plans import plan
from twin_harness import cpu, load


class Service(http.server.ThreadingHTTPServer):
    """A service that takes its time, on a port of its own."""

    daemon_threads = True

    def __init__(self, delay_s, status=200):
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                time.sleep(service.delay_s)
                self.send_response(service.status)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.delay_s, self.status = delay_s, status
        self.url = f"http://127.0.0.1:{self.server_port}/health"
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def serve():
    made = []

    def make(*arguments):
        made.append(Service(*arguments))
        return made[-1]

    yield make
    for service in made:
        service.shutdown()
        service.server_close()


QUIET = plan(lead_s=0.5, tail_s=2.5, name="quiet")


@pytest.mark.parametrize(
    ("delay_s", "status"), [(0.03, 200), (0.6, 503)], ids=["quick", "slow and failing"]
)
def test_service_is_timed_and_delays_no_sample(open_session, serve, delay_s, status):
    """Its latency stands in the rows, whatever its status.

    A slow one makes no sample late and no other probe fall silent.
    """
    service = serve(delay_s, status)
    recording = open_session(probe_service=service.url).runner.run(QUIET)
    assert recording.quantile("probe_service_ms", 0.5) == pytest.approx(1e3 * delay_s, rel=0.7)
    assert recording.min("probe_service_ms") >= 1e3 * delay_s * 0.99
    assert recording.samples["probe_wakeup_ms"].notna().mean() > 0.9
    assert recording.samples["missed_samples"].sum() <= 2


def test_service_that_is_not_there_has_no_latency(open_session, serve):
    """A refused connection is no figure: the column is empty, and the run goes on."""
    service = serve(0.0)
    url = service.url
    service.shutdown()
    service.server_close()
    recording = open_session(probe_service=url).runner.run(QUIET)
    assert recording.samples["probe_service_ms"].isna().all()
    assert len(recording.samples) > 20


def test_disk_is_probed(open_session):
    """A write of 4 KiB and its fsync take some time, and stand in some rows."""
    recording = open_session(probe_disk=True).runner.run(QUIET)
    measured = recording.samples["probe_disk_ms"].dropna()
    assert len(measured) >= 5
    assert (measured > 0).all()


def test_psutil_alone_has_the_same_columns(open_session):
    """A recording by psutil is labelled, delivered and judged like any other.

    What psutil has not is empty.
    """
    recording = open_session(source="psutil").runner.run(plan(cpu(40, duration_s=3)))
    recording.require_room("cpu-0")
    assert recording.fidelity("cpu-0").delivered_mean == pytest.approx(40, abs=2)
    assert recording.during("cpu-0", skip_s=0.5).mean("cpu_percent") > 30
    assert recording.samples["processes_running"].isna().all()
    assert recording.samples["memory_available_bytes"].notna().all()


def test_wait_for_an_idle_machine_is_bounded_and_recorded(session):
    """``settle_s`` waits until the machine is idle or the time is over.

    How long, and what it was like then, stands in run.json.
    """
    recording = session.runner.run(plan(lead_s=0.3, tail_s=0.2, settle_s=3.0))
    settled = recording.planned.settled
    assert 1.0 <= settled["waited_s"] <= 4.0
    assert settled["is_idle"] == (
        settled["cpu_percent"] <= 5.0 and settled["disk_bytes_per_s"] <= 1e6
    )
    session.close()
    (entry,) = load(session.folder.path).state["experiments"]
    assert entry["settled"] == settled


def test_no_row_holds_more_than_all_of_the_time(session):
    """Shares of time end at 100 %, also in the rows in which load host, guard and probe start.

    That is counted while it is spent. Where the logger is held up between its clock and a counter
    the row after makes up for it ("torn reading"): such a row is looked at together with that.
    """
    for number in range(3):
        session.runner.run(
            plan(cpu(30, duration_s=0.3), name=f"short {number}", lead_s=0.2, tail_s=0.1)
        )
    session.close()
    samples = load(session.folder.path).samples
    shares = [name for name in samples.columns if name.startswith("pressure_")] + [
        "harness_cpu_percent",
        "cpu_percent",
    ]
    assert len(samples) > 10
    seconds, percents = samples["dt_s"], samples[shares].dropna(axis=1, how="all")
    spent = percents.mul(seconds, axis=0)
    means = (spent + spent.shift(-1)).div(seconds + seconds.shift(-1), axis=0)
    assert (means.where(percents > 100.0, 0.0).max() <= 100.0).all(), means.max()
    assert [process for process in samples["harness_cpu_percent"] if process > 0]
