"""The id of a run: how it is drawn, and how its folder is recognised."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

from twin_harness.system.clock import utc_s

RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")


def draw_run_id(now: datetime | None = None) -> str:
    """Return the id of a new run: the second it begins in, and six hex digits."""
    begun = now or datetime.fromtimestamp(utc_s(), UTC)
    return f"{begun.strftime('%Y%m%dT%H%M%SZ')}-{secrets.token_hex(3)}"
