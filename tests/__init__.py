"""The tests. Those of `pure` need no engine; the others run on a real one, which conftest.py starts.

pure/    rules, frames, wire structs: what does no I/O, at 100 % branch coverage
engine/  lightrunner.engine, operation by operation
runs/    whole runs through DockerRunner, and the runs that go wrong
tools/   the private engine and the images that the rest stands on
"""
