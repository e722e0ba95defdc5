"""Copy files into a container and out of it, as tar archives.

seed.py copies a host folder into a created container. extract.py copies an entry out of an exited container, and
staging.py lands it on the host: whole or not at all, whatever the archive says. `lightrunner.rules.members` decides on
names and modes.
"""
