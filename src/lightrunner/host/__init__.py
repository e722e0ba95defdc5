"""This host: the process that owns a run, and the state folder.

owner.py identifies a process, and tells whether it is alive. state_dir.py has the folder's path, locks and atomic
writes.
"""
