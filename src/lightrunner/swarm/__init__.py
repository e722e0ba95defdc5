"""The same runs on the nodes of a Docker Swarm.

runner.py    `SwarmRunner`                       options.py   its options, and what a swarm cannot do (pure)
pool.py      `SwarmPool`: claims kept ready      run.py       one run in a claimed container
claims.py    which container is whose            walls.py     what a claimed container has to be
service.py   the service: its spec (pure), and its life on the swarm
managers.py  calls to whichever manager answers  nodes.py     the nodes' own daemons
network.py   the isolated network on all nodes   reap.py      what dead processes left
images.py    setup steps, pushed to a registry   cluster.py   what all of these share

A service's containers wait at the gate (`lightrunner.rules.gate`). Swarm schedules, spreads and replaces them; it never
starts a request's code. Whoever claims a container dispatches one run to it, on its node's own daemon.
"""
