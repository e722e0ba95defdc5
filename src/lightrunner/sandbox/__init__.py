"""Sandboxes: containers that live for more than one command.

Process 1 of the container is the init program (init/server.c). The host sends it orders over the container's attached
streams, and it starts the commands itself.

lifecycle.py    from the container's start to its removal: start reading here
launch.py       the container: a run's, with the init program as process 1
pool.py         `SandboxPool`: warm sandboxes
box.py          `Sandbox`: the methods that a user calls
command.py      one command, to its end
process.py      `SandboxProcess`: a command that the caller talks to
transfer.py     files, in and out
expose.py       ports, relayed to the host
snapshot.py     the files as an image
session.py      the connection: one reader, many channels
context.py      what these share
order.py        arguments, checked (pure)
protocol.py     the protocol with process 1 (pure)
"""
