"""Networks of runs.

Start with allocation.py, which gives each run its network. isolated.py finds or makes the bridge without
inter-container traffic; pause_containers.py keeps network namespaces that were made ahead of time.
"""
