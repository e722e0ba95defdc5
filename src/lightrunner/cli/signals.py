"""Ctrl-C, SIGTERM and SIGHUP: cancel the command, wait for its clean-up, and end by the signal."""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio

from lightrunner.nurseries import open_bare_nursery

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """The signals that have arrived.

    Attributes:
        first: the first of them; None before that.
        handler: called with each; by default it cancels the command. A command that replaces it calls `cancel` at the
            latest for the second signal.
    """

    def __init__(self, scope: trio.CancelScope) -> None:
        self._scope = scope
        self.first: signal.Signals | None = None
        self.handler: Callable[[signal.Signals], None] = self.cancel

    def cancel(self, _: signal.Signals | None = None) -> None:
        """Cancel the command. Its clean-up is shielded and bounded, and further signals do not disturb it."""
        self._scope.cancel()

    def note(self, number: signal.Signals) -> None:
        """Note a signal, and call the handler."""
        self.first = self.first or number
        self.handler(number)


async def until_signal(command: Callable[[Signals], Awaitable[int]]) -> int:
    """Run a command to its end, or to the end of its clean-up after a signal.

    Returns:
        What the command returns; after a signal, its number, negative.
    """
    # Whoever started this with a signal ignored (nohup, a shell's background job) has meant it.
    wanted = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    scope = trio.CancelScope()
    signals = Signals(scope)
    status = 0

    async def watch(task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(*wanted) as received:
            task_status.started()
            async for number in received:
                signals.note(signal.Signals(number))

    async with open_bare_nursery() as nursery:
        if wanted:
            await nursery.start(watch)
        with scope:
            status = await command(signals)
        nursery.cancel_scope.cancel()
    return status if signals.first is None else -signals.first


def end(status: int) -> NoReturn:
    """End the process with a status, or, if it is negative, by that signal, so that a calling shell can tell."""
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)
