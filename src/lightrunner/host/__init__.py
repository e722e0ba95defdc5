"""This host: which process a run belongs to, and where states are kept.

owner.py names a process and tells whether it lives; state_dir.py writes files of the state folder whole or not at all.
"""
