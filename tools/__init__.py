"""Tools for `./dev` and the tests: private engines, and the images that run in them.

Standard library only, since `./dev` runs it before there is a virtual environment.

raw_engine.py      a synchronous Engine client, independent of lightrunner: the tests' oracle
private_engine.py  a private dockerd in its own namespaces, which leaves nothing behind
images.py          the images that tests, demo and benchmarks run, built from Debian packages
registry.py        a registry inside a private engine, for pulls
"""
