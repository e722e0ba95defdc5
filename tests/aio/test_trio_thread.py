"""The thread's end, while calls are still made."""

import pytest
import trio

from lightrunner.trio_thread import ThreadCall, TrioThread


def test_a_call_while_the_loop_ends_is_refused_and_the_loop_ends_well() -> None:
    """A system task outlives the thread's nursery, so it calls in the moment between that and the loop's end."""
    thread = TrioThread()
    thread.start()
    calls: list[ThreadCall[None]] = []

    async def call_late() -> None:
        try:
            await trio.sleep_forever()
        finally:
            calls.append(thread.submit(trio.lowlevel.checkpoint))

    async def spawn() -> None:
        trio.lowlevel.spawn_system_task(call_late)

    thread.submit(spawn).future.result(5)
    thread.stop()
    thread.finished.result(5)
    with pytest.raises(RuntimeError, match="the trio thread has ended"):
        calls[0].future.result(5)
    with pytest.raises(RuntimeError, match="the trio thread has ended"):
        thread.submit(trio.lowlevel.checkpoint)
