"""The images that runs start from.

Start with pull.py, which finds or pulls an image. steps.py builds setup steps into a cache image. cache.py removes
unused cache images, by the times of use that cache_usage.py records. users.py finds the number of an image's user.
"""
