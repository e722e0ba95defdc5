"""The static program that runs as process 1 of containers, and how it gets into containers.

program.py has the built programs, which package data is; volume.py installs one on a daemon. The C sources are here
as well; main.c lists the modes. `./dev init` builds them.
"""
