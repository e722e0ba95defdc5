"""One run, from its checked request to its removal.

Start reading in run.py, which has a cold run from top to bottom. prepare.py creates and seeds the container
(container.py builds the body of the create call, demands.py asks the daemon what it can do), supervise.py watches it
until it exits, stdin.py writes its input, output.py delivers its output (capture.py keeps it), cpu_time.py watches its
CPU time, kills.py finds out who killed it, measure.py measures what it uses, secrets.py hands over its secrets
(command.py has the command that follows them), and handle.py has `Execution`, the handle that callers hold. phases.py
has a run's id and the times of its phases. dispatch.py starts a run in a container that waits. mapping.py runs many
requests.
"""
