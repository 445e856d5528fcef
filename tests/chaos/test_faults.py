"""Kills and stops at random times: no load, no process and no file is left, what was recorded can be read, and the next run works."""

import json

from chaos.faults import inflict, slot_of
from chaos.table import ROW


def test_no_fault_leaves_anything(make_victim, chance, chaos_round, record_property, request):
    """After a signal to one process the load ends in time, nothing is left, the run says what became of it, and the next one passes."""
    fault = slot_of(chaos_round)
    victim = make_victim(*(["-n", str(fault.workers)] if fault.workers else []))
    seen = inflict(victim, fault, chance)
    record_property(ROW, json.dumps({"number": chaos_round, **seen.row()}))
    complaints = seen.complaints()
    at = f"{fault.name} {seen.moment_s:.3f} s {'after the session began' if fault.at == 'any' else 'into the load'}"
    assert not complaints, "\n".join([at + (f", then {seen.resumed}" if seen.resumed else ""), *complaints, "the session said:", victim.text()[-4000:]])
