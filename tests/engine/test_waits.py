"""The conditions of container_wait, in the states in which they hold, block, or return at once."""

import pytest
import trio

from lightrunner.engine import EngineClient, EngineNotFound
from tests.engine.containers import created, run_to_exit, running, wait_exit

A_WHILE = 0.5
"""Seconds without an answer that count as blocking."""


@pytest.mark.parametrize("code", [0, 1, 125, 137, 255])
async def test_next_exit_registered_before_the_start_tells_the_exit_code(
    client: EngineClient, busybox: str, code: int
) -> None:
    async with created(client, busybox, "sh", "-c", f"exit {code}") as container:
        assert await run_to_exit(client, container) == code


async def test_not_running_returns_at_once_for_what_was_never_started(client: EngineClient, busybox: str) -> None:
    async with created(client, busybox, "true") as container:
        assert await wait_exit(client, container) == 0


async def test_not_running_waits_for_what_runs(client: EngineClient, busybox: str) -> None:
    async with running(client, busybox) as container, client.container_wait(container) as pending:
        with trio.move_on_after(A_WHILE):
            pytest.fail(f"it runs, but: {await pending.result()}")


async def test_next_exit_blocks_on_what_has_exited(client: EngineClient, busybox: str) -> None:
    async with created(client, busybox, "false") as container:
        assert await run_to_exit(client, container) == 1
        assert await wait_exit(client, container) == 1
        async with client.container_wait(container, condition="next-exit") as pending:
            with trio.move_on_after(A_WHILE):
                pytest.fail(f"it has exited before, but: {await pending.result()}")
        # Abandoned, and nothing the worse for it.
        assert await run_to_exit(client, container) == 1


async def test_removed_waits_for_the_removal(client: EngineClient, busybox: str) -> None:
    async with (
        created(client, busybox, "sh", "-c", "exit 5") as container,
        client.container_wait(container, condition="removed") as removed,
    ):
        assert await run_to_exit(client, container) == 5
        await client.container_delete(container)
        assert (await removed.result()).status_code == 5


async def test_what_exits_without_an_error_has_none(client: EngineClient, busybox: str) -> None:
    async with created(client, busybox, "true") as container, client.container_wait(container) as pending:
        assert (await pending.result()).error is None


async def test_an_unknown_container_is_not_waited_for(client: EngineClient) -> None:
    with pytest.raises(EngineNotFound):
        async with client.container_wait("no-such"):
            pass
