"""Layer 2, experiment control: schedules, the runner, annotations and the guard.

Imports nothing by itself.
"""
