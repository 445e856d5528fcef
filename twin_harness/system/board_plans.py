"""The plan slots of the load board: what the running experiments ask for, event by event.

Each slot has a sequence counter (a seqlock): odd while the slot is written, another even number
afterwards. A reader takes what it has read if the counter was even and has not changed, and tries
again otherwise.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.errors import HarnessFailure
from twin_harness.system.board_file import BoardFile
from twin_harness.system.board_layout import HEAD, PLAN, PLAN_BYTES, PLAN_SLOTS, plan_at
from twin_harness.system.clock import sleep_s

if TYPE_CHECKING:
    from twin_harness.system.load_messages import BoardPlan

_GENERATION = HEAD["plans_generation"]
_SEQUENCE, _LENGTH = PLAN["sequence"], PLAN["length"]
_SLOT_HEAD = PLAN.span("sequence", "length")
_MOST_READINGS = 100


class PlanSlots(BoardFile):
    """A board, seen as the plans of running experiments.

    Attributes:
        plan_slots: how many plans it holds.
    """

    plan_slots = PLAN_SLOTS

    def close(self, *, unlink: bool = False) -> None:
        """Unmap the board; the session that created it also unlinks it and what stands beside."""
        if unlink:
            for slot in range(PLAN_SLOTS):
                self._side_file(slot).unlink(missing_ok=True)
        super().close(unlink=unlink)

    def publish_plan(self, plan: BoardPlan, slot: int | None = None) -> int:
        """Write a running experiment's plan into a slot, a free one unless given; return the slot.

        A plan longer than a slot goes to a file beside the board, and the slot holds its path.

        Raises:
            HarnessFailure: 64 experiments run already.
        """
        data = json.dumps(plan).encode()
        if slot is None:
            with self._claiming():
                slot = self._free_plan_slot()
                self._write_plan(slot, data)
        else:
            self._write_plan(slot, data)
        return slot

    def _free_plan_slot(self) -> int:
        for slot in range(PLAN_SLOTS):
            if _LENGTH.read(self._map, plan_at(slot)) == 0:
                return slot
        msg = (
            f"the load board holds {PLAN_SLOTS} running experiments, the most it can; run fewer at"
            " once"
        )
        raise HarnessFailure(msg)

    def _write_plan(self, slot: int, data: bytes) -> None:
        if len(data) > PLAN_BYTES - PLAN.size:
            data = self._put_aside(slot, data)
        start = plan_at(slot)
        content = start + PLAN.size
        odd = _SEQUENCE.read(self._map, start) | 1  # also where a writer died and left it odd
        _SEQUENCE.write(self._map, odd, start=start)
        _LENGTH.write(self._map, len(data), start=start)
        self._map[content : content + len(data)] = data
        _SEQUENCE.write(self._map, (odd + 1) & 0xFFFFFFFF, start=start)
        self._renew(_GENERATION)

    def _put_aside(self, slot: int, data: bytes) -> bytes:
        """Write a long plan to a file beside the board; return what stands for it in the slot."""
        side = self._side_file(slot)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(side, flags, 0o600), "wb") as file:
            file.write(data)
        return json.dumps({"file": str(side)}).encode()

    def _side_file(self, slot: int) -> Path:
        return self.path.with_suffix(f".plan{slot}")

    def remove_plan(self, slot: int) -> None:
        """Free a plan slot."""
        self._write_plan(slot, b"")
        self._side_file(slot).unlink(missing_ok=True)

    @property
    def plans_generation(self) -> int:
        """A number that changes whenever a plan is written or removed.

        One look instead of 64 pages far apart.
        """
        return int(_GENERATION.read(self._map))

    def plan_sequences(self) -> tuple[int, ...]:
        """Return the sequence counter of every slot: one that changed has a new content."""
        return tuple(_SEQUENCE.read(self._map, plan_at(slot)) for slot in range(PLAN_SLOTS))

    def read_plan(self, slot: int) -> BoardPlan | None:
        """Return a slot's plan; None when it is free, or its writer died while writing."""
        start = plan_at(slot)
        content = start + PLAN.size
        for _ in range(_MOST_READINGS):
            before, length = _SLOT_HEAD.read_all(self._map, start)
            data = self._map[content : content + length]
            if before % 2 == 0 and before == _SEQUENCE.read(self._map, start):
                return _parse_plan(data)
            sleep_s(0)
        return None


def _parse_plan(data: bytes) -> BoardPlan | None:
    if not data:
        return None
    content = json.loads(data)
    if set(content) == {"file"}:
        try:
            content = json.loads(Path(content["file"]).read_bytes())
        except (OSError, ValueError):
            return None
    plan: BoardPlan = content
    return plan
