"""Layer 1, stress generation: one load host an experiment, and what its children do.

Imports nothing by itself.
"""
