"""The regression gate: does a candidate load its machine, or serve, worse than its base?

Pure functions on numbers; the plugin feeds it.

The unit is the run of an experiment, never the sample: samples of one run depend on each other.
"""
