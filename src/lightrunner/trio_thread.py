"""A thread with a trio event loop, for callers that have none: `lightrunner.asyncio` and `map_sync`."""

import atexit
import contextvars
import signal
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, TypeVar

import trio

from .errors import LightRunnerError, LightRunnerErrorCode
from .rules.limits import CLOSE_TIMEOUT

T = TypeVar("T")


class ThreadCall(Generic[T]):
    """A call in the trio thread.

    Attributes:
        future: the call's outcome. It is done once the call has cleaned up; RUN_ABORTED if the call was cancelled.
    """

    def __init__(self, async_fn: Callable[[], Awaitable[T]], run_sync_soon: Callable[..., None]) -> None:
        self.future: Future[T] = Future()
        self.future.set_running_or_notify_cancel()  # Nobody but the call itself ends it.
        self._async_fn = async_fn
        self._run_sync_soon = run_sync_soon
        self._scope = trio.CancelScope()

    def cancel(self) -> None:
        """Ask for the call's cancellation, from any thread."""
        with suppress(trio.RunFinishedError):  # The loop has ended, and so has the call.
            self._run_sync_soon(self._scope.cancel)

    async def run(self) -> None:
        """Run the call in a task of the trio thread. Any outcome but a cancellation of the task goes to `future`."""
        try:
            with self._scope:
                value = await self._async_fn()
                self.future.set_result(value)
                return
        except trio.Cancelled:  # The thread is being stopped.
            self.future.set_exception(_aborted())
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised where the call was made
            if isinstance(error.__context__, trio.Cancelled):
                error.__context__ = None  # How the error has cancelled its siblings is trio's story alone.
            self.future.set_exception(error)
            return
        self.future.set_exception(_aborted())


class TrioThread:
    """A thread that runs trio.

    The thread is a daemon, which the interpreter does not wait for, so it is stopped by an exit handler if nothing else
    has: calls in progress are then cancelled, and have `CLOSE_TIMEOUT` seconds to clean up.

    Attributes:
        finished: done when the loop has ended.
    """

    def __init__(self) -> None:
        self._ready: Future[None] = Future()
        self.finished: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="lightrunner-trio", daemon=True)
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None

    def start(self) -> None:
        """Start the thread, and wait the millisecond until its loop runs."""
        self._thread.start()
        for _ in range(2):  # Twice: an interrupt that is pending when a handler begins ends that handler.
            atexit.register(self._stop_at_exit)
        self._ready.result()

    def submit(self, async_fn: Callable[[], Awaitable[T]]) -> ThreadCall[T]:
        """Call an async function in a task of the thread, with the caller's context variables.

        Raises:
            RuntimeError: the thread's loop has ended. If it is just ending, the call's future raises it.
        """
        assert self._token is not None
        assert self._nursery is not None
        call = ThreadCall(async_fn, self._token.run_sync_soon)
        context, nursery = contextvars.copy_context(), self._nursery

        def spawn() -> None:
            try:
                context.run(nursery.start_soon, call.run)  # A task copies the context that it is spawned in.
            except RuntimeError:  # The nursery has closed, but the loop still runs what it was given before its end.
                call.future.set_exception(_ended())

        try:
            self._token.run_sync_soon(spawn)
        except trio.RunFinishedError as error:
            raise _ended() from error
        return call

    def soon(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function in the thread, soon. After the loop's end this does nothing."""
        assert self._token is not None
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function, *args)

    def stop(self) -> None:
        """Cancel all calls, and end the loop when they have cleaned up. Returns at once: wait for `finished`."""
        assert self._nursery is not None
        self.soon(self._nursery.cancel_scope.cancel)

    def _stop_at_exit(self) -> None:
        # The program is ending already, and the clean-up is bounded: a further Ctrl-C changes nothing.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.stop()
        self._thread.join(CLOSE_TIMEOUT)

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:  # noqa: BLE001 - raised where the thread is waited for
            if not self._ready.done():
                self._ready.set_exception(error)
            self.finished.set_exception(error)
        else:
            self.finished.set_result(None)
        finally:
            atexit.unregister(self._stop_at_exit)

    async def _main(self) -> None:
        async with trio.open_nursery() as self._nursery:
            self._token = trio.lowlevel.current_trio_token()
            self._ready.set_result(None)
            await trio.sleep_forever()


def _ended() -> RuntimeError:
    return RuntimeError("the trio thread has ended")


def _aborted() -> LightRunnerError:
    return LightRunnerError(LightRunnerErrorCode.RUN_ABORTED, "the call was cancelled")
