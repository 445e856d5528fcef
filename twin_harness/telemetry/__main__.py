"""Start the logger or the probe.

``python -m twin_harness.telemetry logger|probe``, settings as one JSON line on stdin.
"""

import sys

if __name__ == "__main__":
    if sys.argv[1:] == ["probe"]:
        from twin_harness.telemetry.probe import main
    else:
        from twin_harness.telemetry.psutil_logger import main
    raise SystemExit(main())
