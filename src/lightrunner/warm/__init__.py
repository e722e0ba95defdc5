"""Warm pools: containers that are started, and wait for the one run that they are for.

pool.py has `WarmPool`. It stands on `lightrunner.pool`, which keeps single-use things ready, on the parts of a cold run
(`lightrunner.runs`), and on the gate's shell script (`lightrunner.rules.gate`).
"""
