"""The tests. Those of `pure` need no engine; the others run on a real one, which conftest.py starts.

pure/     rules, frames, wire structs: modules without I/O, at 100 % branch coverage
engine/   lightrunner.engine, operation by operation
files/    seeds, extracts, and the landing of hostile archives on the host's disk
images/   setup steps and their cache images
networks/ the isolated bridge and prepared networks
runs/     whole runs through DockerRunner, failing ones included
detached/ runs that outlive their process, attaching, reaping
contract/ what every engine keeps to, the fake one included, over both shapes of the API
warm/     warm pools and the single-use pool below them, under the contract of cold runs
testing/  the fake engine of lightrunner.testing, and each of its faults in each phase of a run
tools/    the private engine and the test images

fake_daemon.py  the fake engine on a real socket, for what depends on sockets
"""
