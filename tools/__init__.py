"""What `./dev` and the tests stand on: a real engine anywhere, and the images to run in it.

Standard library only, since `./dev` runs it before there is a virtual environment.

raw_engine.py      a synchronous Engine client, independent of lightrunner: the tests' oracle
private_engine.py  a dockerd of one's own, in namespaces of its own, that leaves nothing behind
images.py          the images that tests, demo and benchmarks run, built from Debian packages
registry.py        a registry inside a private engine, for pulls
"""
