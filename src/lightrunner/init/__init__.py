"""The static program that runs as process 1 of containers, and how it gets into containers.

program.py has the built programs, which are package data; image.py and volume.py install one on a daemon. The C sources
are here as well; main.c lists the modes. `./dev init` builds them.
"""
