"""Calls from an asyncio task into the trio thread, cancelled with the task; and from the thread into asyncio."""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any, Generic, TypeVar

import trio

from lightrunner.errors import LightRunnerError, LightRunnerErrorCode
from lightrunner.rules.limits import CLEANUP_TIMEOUT
from lightrunner.trio_thread import TrioThread

T = TypeVar("T")
U = TypeVar("U")


class Bridge:
    """Between the running asyncio loop and a trio thread that it starts."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = TrioThread()
        self._thread.start()

    async def close(self) -> None:
        """Cancel all calls, and wait until they have cleaned up and the thread's loop has ended."""
        self._thread.stop()
        await self._outcome(self._thread.finished, self._thread.stop)

    async def call(self, async_fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Call an async function in the trio thread, and return or raise what it does.

        Cancelling the awaiting task cancels the call. `CancelledError` is raised once the call has cleaned up, whatever
        it returned or raised; how often the task is cancelled meanwhile changes nothing.
        """
        call = self._thread.submit(partial(async_fn, *args))
        return await self._outcome(call.future, call.cancel)

    def soon(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function in the trio thread, soon."""
        self._thread.soon(function, *args)

    async def start(self, async_fn: Callable[[trio.TaskStatus[T]], Awaitable[U]]) -> tuple[T, asyncio.Task[U]]:
        """Call an async function that reports a value once it has started, as ``nursery.start`` does.

        Returns:
            The value, and the task that waits for the call. Cancelling the task cancels the call.
        """
        status = _Status[T](self.post)
        task = self._loop.create_task(self.call(async_fn, status))
        task.add_done_callback(lambda _: status.reported.set())
        try:
            await status.reported.wait()
        except BaseException:
            await cancel_and_wait(task)
            raise
        if not status.values:
            task.result()  # It raises: a call that ends before it has started has failed.
        return status.values[0], task

    @asynccontextmanager
    async def hold(self, manager: AbstractAsyncContextManager[T]) -> AsyncGenerator[T]:
        """Open a trio context manager for the time of an asyncio block.

        An exception or a cancellation that leaves the block cancels the trio block.
        """
        leave = trio.Event()

        async def block(status: trio.TaskStatus[T]) -> None:
            async with manager as value:
                status.started(value)
                await leave.wait()

        started: tuple[T, asyncio.Task[None]] = await self.start(block)
        value, task = started
        try:
            yield value
        except BaseException:
            await cancel_and_wait(task)
            raise
        self.soon(leave.set)
        await task

    def post(self, function: Callable[..., object], *args: Any, context: contextvars.Context | None = None) -> None:
        """Call a function in the asyncio loop's thread, soon. A closed loop has nobody who would miss it."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *args, context=context)

    async def call_home(
        self, async_fn: Callable[..., Coroutine[Any, Any, T]], *args: Any, context: contextvars.Context
    ) -> T:
        """From the trio thread: call an async function in an asyncio task, which is cancelled with the caller.

        Raises:
            LightRunnerError: RUN_ABORTED: the task was cancelled, or the loop is closed.
        """
        done = trio.Event()
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            task = self._loop.create_task(async_fn(*args))
            tasks.append(task)
            task.add_done_callback(lambda _: self.soon(done.set))

        try:
            self._loop.call_soon_threadsafe(begin, context=context)
        except RuntimeError as error:
            raise LightRunnerError(LightRunnerErrorCode.RUN_ABORTED, "the asyncio event loop is closed") from error
        try:
            await done.wait()
        except trio.Cancelled:
            self.post(lambda: [task.cancel() for task in tasks])
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLEANUP_TIMEOUT):
                await done.wait()
            raise
        if tasks[0].cancelled():
            raise LightRunnerError(LightRunnerErrorCode.RUN_ABORTED, "the event loop cancelled a callback")
        return tasks[0].result()

    async def _outcome(self, future: Future[T], cancel: Callable[[], None]) -> T:
        """Wait for a future of the thread. On cancellation, call `cancel`, and wait on."""
        done = asyncio.Event()
        future.add_done_callback(lambda _: self.post(done.set))
        cancellation: asyncio.CancelledError | None = None
        while not done.is_set():
            try:
                await done.wait()
            except asyncio.CancelledError as error:
                # Only once: anyio repeats its cancellation in each turn of the loop.
                if cancellation is None:
                    cancellation = error
                    cancel()
            except BaseException:  # GeneratorExit: the loop is gone.
                cancel()
                raise
        if cancellation is not None:
            raise cancellation from _unexpected(future.exception())
        return future.result()


class _Status(Generic[T]):
    """A `trio.TaskStatus` that reports to an asyncio task."""

    def __init__(self, post: Callable[..., None]) -> None:
        self.reported = asyncio.Event()
        self.values: list[T] = []
        self._post = post

    def started(self, value: Any = None) -> None:
        """Report the value, from the trio thread."""
        self.values.append(value)
        self._post(self.reported.set)


async def cancel_and_wait(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end, whatever that is. Further cancellations of the caller change nothing."""
    task.cancel()
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # Retrieved: the caller has an exception of its own to raise.


def _unexpected(error: BaseException | None) -> BaseException | None:
    """What a cancelled call raised, unless it is the cancellation itself."""
    is_abortion = isinstance(error, LightRunnerError) and error.code is LightRunnerErrorCode.RUN_ABORTED
    return None if is_abortion else error
