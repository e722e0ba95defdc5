"""Cancelling a run at its n-th checkpoint, for every n.

The unit is a step of one of the run's tasks, as trio's scheduler counts them: between two steps a task waits, so that a
cancellation before the n-th step takes effect at the checkpoint behind it. A run has about sixty of them. (How many
differs by a few from run to run: what a socket brings in one piece or in two is the daemon's choice.)
"""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

import trio


class Countdown:
    """Counts a run's steps and cancels it at one of them."""

    def __init__(self, steps: int) -> None:
        self.scope = trio.CancelScope()
        self.left = steps

    @property
    def is_over(self) -> bool:
        """Whether the run had that many steps."""
        return self.left <= 0

    def step(self) -> None:
        """One step is about to be taken."""
        self.left -= 1
        if self.is_over:
            self.scope.cancel()


# Child tasks inherit their parent's context, so that the steps of all of a run's tasks are counted, and no others.
_countdown: ContextVar[Countdown | None] = ContextVar("countdown", default=None)


class _StepCounter(trio.abc.Instrument):
    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        countdown = task.context.get(_countdown)
        if countdown is not None:
            countdown.step()


@contextmanager
def count_steps() -> Generator[None]:
    """Tell each step to the countdown of the run that it belongs to. Not a fixture: there is nothing to count yet."""
    counter = _StepCounter()
    trio.lowlevel.add_instrument(counter)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(counter)


async def cancelled_at(step: int, run: Callable[[], Awaitable[object]]) -> Countdown:
    """Run, and cancel at this step, within a block of `count_steps`."""
    countdown = Countdown(step)
    token = _countdown.set(countdown)
    try:
        with countdown.scope:
            await run()
    finally:
        _countdown.reset(token)
    return countdown
