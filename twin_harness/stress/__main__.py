"""Start a load host: ``python -m twin_harness.stress`` with the plan as one JSON line on stdin."""

from twin_harness.stress.load_host import main

if __name__ == "__main__":
    raise SystemExit(main())
