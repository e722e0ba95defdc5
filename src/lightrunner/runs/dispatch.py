"""Open the gate of a waiting container, before anything else is set up: the run's first output waits for it."""

from lightrunner.engine import AttachedStream, EngineUnreachable

_SHORT_BYTES = 16 * 1024
"""A quarter of Linux's pipe, and less than any socket's buffer."""


async def send_dispatch(attached: AttachedStream, script: bytes) -> list[bytes]:
    """Write a dispatch, unless it is long. Return what the supervisor has to write.

    What fits into the container's pipe cannot block, so nobody needs to read the output meanwhile.
    """
    if len(script) > _SHORT_BYTES:
        return [script]
    try:
        await attached.send_all(script)
    except EngineUnreachable:
        return [script]  # The supervisor meets it too, and learns why.
    return []
