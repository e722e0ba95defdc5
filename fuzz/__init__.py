"""Fuzz lightrunner's input from callers and from daemons, against independent oracles.

    ./dev fuzz [--minutes M] [--target NAME] [--host URL]

dockerfiles.py   setup steps and image references, read back by the engine's own Dockerfile parser
builds.py        the same on a real engine: its own parser, and builds that print each step instead of running it
landing.py       archives and paths, extracted to a folder with hostile links
streams.py       frames, progress, archives and lines, cut into any chunks
values.py        names, paths, sizes and platforms of a request
oracle.py        the Dockerfile parser                   refusal.py      tells refusals from findings
regressions.py   the values that a target has failed on, which are replayed
targets.py       all targets by name                     harness.py      runs hypothesis for a given time

The strategies are those of the tests: tests/pure/strategies.py and strategies_steps.py. `./dev test` runs some examples
of each target, and replays the regressions: tests/pure/test_fuzz.py.
"""
