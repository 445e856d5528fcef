"""The plain psutil script that people write.

The peer of benchmarks/telemetry_cost.py. python plain_psutil.py OUT.csv INTERVAL.
"""

import csv
import sys
import time
from pathlib import Path

import psutil

interval = float(sys.argv[2])
with Path(sys.argv[1]).open("w", newline="") as file:
    writer = csv.writer(file)
    while True:
        row = [time.time()]
        row += psutil.virtual_memory()
        row += psutil.swap_memory()
        row += psutil.disk_io_counters() or ()
        row += psutil.net_io_counters()
        row.append(psutil.cpu_percent())
        row += psutil.cpu_percent(percpu=True)
        row += psutil.cpu_times()
        row += psutil.getloadavg()
        row += psutil.cpu_stats()
        row.append(len(psutil.pids()))
        row.append(psutil.disk_usage("/").percent)
        writer.writerow(row)
        file.flush()
        time.sleep(interval)
