"""Images that runs start from.

Start with pull.py: the image is there, or pulled. steps.py bakes setup steps into a cached image; cache.py removes
cached images that nobody uses, by the times that cache_usage.py records.
"""
