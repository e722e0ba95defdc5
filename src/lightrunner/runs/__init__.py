"""One run, from its checked request to its removal.

Start reading in run.py, which tells a cold run from top to bottom. prepare.py makes the container (container.py has the
body of its create), supervise.py watches it to its end, output.py carries what it writes, and handle.py is the
`Execution` that callers hold.
"""
