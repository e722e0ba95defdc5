"""Warm pools: started containers, each waiting for one run.

pool.py has `WarmPool`. It is built on `lightrunner.pool`, which keeps single-use items ready, on the parts of a cold
run (`lightrunner.runs`), and on the shell scripts of the gate (`lightrunner.rules.gate`).
"""
