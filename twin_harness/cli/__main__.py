"""``python -m twin_harness.cli`` is ``twin``."""

from twin_harness.cli import main

raise SystemExit(main())
