"""Layer 3, telemetry: the logger and the probe, each a process of its own.

Imports nothing by itself.
"""
