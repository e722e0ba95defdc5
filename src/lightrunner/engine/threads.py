"""The limiter for the worker threads that move archives."""

from typing import Final

import trio

_THREADS: Final = 40
"""As many as trio's default limiter has, and apart from it: long transfers must not delay short work, such as a host
name's look-up, or the removal of a cancelled run's staged files."""

_limiter: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("lightrunner-archive-threads")


def thread_limiter() -> trio.CapacityLimiter:
    """Return the limiter that all transfers of this event loop share."""
    try:
        return _limiter.get()
    except LookupError:
        limiter = trio.CapacityLimiter(_THREADS)
        _limiter.set(limiter)
        return limiter
