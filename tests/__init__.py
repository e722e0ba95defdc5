"""The tests. Those of `pure` need no engine; the others run on a real one, which conftest.py starts.

pure/     rules, frames, wire structs: what does no I/O, at 100 % branch coverage
engine/   lightrunner.engine, operation by operation
files/    seeds, extracts, and what lands on a host's disk, whatever the archive
images/   setup steps and their cached images
networks/ the isolated bridge and prepared networks
runs/     whole runs through DockerRunner, and the runs that go wrong
detached/ runs that outlive their process, attaching, reaping
contract/ what every engine keeps to, the fake one included, over both shapes of the API
warm/     warm pools and the single-use pool below them, under the contract of cold runs
tools/    the private engine and the images that the rest stands on

fake_daemon.py  a scripted daemon, for faults that a real one will not produce on demand
"""
