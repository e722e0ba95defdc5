"""The worker threads that move archives."""

from typing import Final

import trio

_THREADS: Final = 40
"""At a time; as many as trio lends by default, and none of those: long transfers would delay short work, such as the
look-up of a host name, or the removal of what a cancelled run has staged."""

_limiter: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("lightrunner-archive-threads")


def thread_limiter() -> trio.CapacityLimiter:
    """The limiter that all transfers of this event loop borrow their threads from."""
    try:
        return _limiter.get()
    except LookupError:
        limiter = trio.CapacityLimiter(_THREADS)
        _limiter.set(limiter)
        return limiter
