"""Plans with a short lead and tail, for tests that have a machine to themselves."""

from functools import partial

from twin_harness import plan as plan_of

plan = partial(plan_of, lead_s=0.5, tail_s=0.3)
