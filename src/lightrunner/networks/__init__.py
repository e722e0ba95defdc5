"""The networks of runs.

Start with allocation.py, which allocates a network to each run. isolated.py finds or creates the bridge without
inter-container traffic. pause_containers.py creates network namespaces ahead of time.
"""
