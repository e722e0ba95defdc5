"""The user's own terminal, while a container's terminal is shown on it."""

import os
import signal
import termios
import tty
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress

import trio

from .stdio import STDIN


@contextmanager
def raw_terminal() -> Generator[None]:
    """Pass keys on as they are, Ctrl-C among them, if stdin is a terminal. Its settings return at the end."""
    if not os.isatty(STDIN):
        yield
        return
    before = termios.tcgetattr(STDIN)
    try:
        tty.setraw(STDIN, termios.TCSADRAIN)  # What was typed before stays.
        yield
    finally:
        termios.tcsetattr(STDIN, termios.TCSADRAIN, before)


async def follow_size(resize: Callable[[int, int], Awaitable[None]]) -> None:
    """Call `resize` with rows and columns whenever the terminal changes them. It runs until it is cancelled."""
    with trio.open_signal_receiver(signal.SIGWINCH) as changes:
        async for _ in changes:
            with suppress(OSError):  # stdin is no terminal.
                size = os.get_terminal_size(STDIN)
                await resize(size.lines, size.columns)
