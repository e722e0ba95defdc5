"""Runs that outlive their process.

Start with detach.py, then attach.py. state.py has the state files and their locks, finish.py ends a run in one process,
logs.py reads the daemon's log of a run, and reap.py removes orphans.
"""
