"""Write a run's stdin: what is known before the start, and what a caller's source yields while the run lives."""

import inspect
from collections.abc import AsyncIterable, Sequence

import trio

from lightrunner.engine import AttachedStream, EngineUnreachable
from lightrunner.nurseries import protected
from lightrunner.rules.limits import CLEANUP_TIMEOUT
from lightrunner.rules.terminal import end_of_input


async def feed(
    attached: AttachedStream,
    parts: Sequence[bytes],
    source: AsyncIterable[bytes] | None = None,
    *,
    tty: bool = False,
    closes: bool = True,
) -> bool:
    """Write the parts, then what the source yields, then end the input.

    Args:
        attached: the container's streams.
        parts: what is written first. On a terminal, they end the input themselves.
        source: what else is written, as it comes. It is the caller's code: Ctrl-C interrupts it.
        tty: the container has a terminal, which stays open: the end of the source is typed as Ctrl-D.
        closes: whether to close stdin at the end. Without StdinOnce that would be the end of the output too.

    Returns:
        Whether all was written. If not, the container has closed its stdin or exited.

    Raises:
        Exception: from the source.
    """
    try:
        await protected(_send_all, attached, parts)
        if source is not None:
            last = await _send_source(attached, source)
            if tty:
                await attached.send_all(end_of_input(last))
        if closes and not tty:
            attached.send_eof()
    except EngineUnreachable:
        return False  # If it is the daemon that is gone, the reader and the wait raise.
    return True


async def _send_all(attached: AttachedStream, parts: Sequence[bytes]) -> None:
    for part in parts:
        await attached.send_all(part)


async def _send_source(attached: AttachedStream, source: AsyncIterable[bytes]) -> bytes:
    """Send what the source yields. Return the last part, empty without any."""
    last = b""
    try:
        async for part in source:
            await protected(attached.send_all, part)
            last = part or last
    finally:
        if inspect.isasyncgen(source):  # Nobody else would finish it, if the run ends before its end.
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLEANUP_TIMEOUT):
                await source.aclose()
    return last
