"""The computer this runs on.

/proc, processes, clocks, locks, storage, and the board that processes share.
"""
