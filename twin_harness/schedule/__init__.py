"""Schedules: what is planned, how it is written, read, checked and built."""
