"""Fuzzing: what lightrunner accepts from a caller, and what it takes from a daemon, against oracles that are not ours.

    ./dev fuzz [--minutes M] [--target NAME] [--host URL]

dockerfiles.py   setup steps and image references, read back by the engine's own Dockerfile parser
builds.py        the same on a real engine: its own parser, and builds that print each step in place of running it
landing.py       archives and paths, extracted among links that lie in wait
streams.py       frames, progress, archives and lines, however they are cut
values.py        names, paths, sizes and platforms of a request
oracle.py        that Dockerfile parser                  refusal.py      a value, or our own error
regressions.py   what was found, kept and replayed
targets.py       all of them by name                     harness.py      hypothesis for a given time

The strategies are those of the tests: tests/pure/strategies.py and strategies_steps.py. `./dev test` runs some examples
of each target, and replays the regressions: tests/pure/test_fuzz.py.
"""
