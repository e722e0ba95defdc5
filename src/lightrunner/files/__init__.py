"""Files into a container and out of it, as tar archives.

seed.py sends a host folder into a created container; extract.py gets an entry out of an exited one; staging.py lands it
on the host, whole or not at all, whatever the archive says. Names and modes are decided in `lightrunner.rules.members`.
"""
