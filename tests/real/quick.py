"""Plans with a short lead and tail.

The tests here have a machine to themselves, and many of them wait for nothing.
"""

from functools import partial

from twin_harness import plan as plan_of

plan = partial(plan_of, lead_s=0.5, tail_s=0.3)
