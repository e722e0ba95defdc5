"""Runs that outlive their process.

Start with detach.py, then attach.py. state.py has the state files, finish.py the end of a run, by one
process alone, logs.py the daemon's log of it, and reap.py the removal of orphans.
"""
