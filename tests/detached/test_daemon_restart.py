"""The daemon dies during runs and returns: attached runs end with a typed error, detached runs are found."""

from collections.abc import Iterator

import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, RunRequest, list_states
from tests.conftest import ours
from tests.detached.detached_runs import UNTIL_RELEASED, Lines, exited, is_running, name_of, release, script
from tests.detached.restored_daemon import daemon_away, restoring_engine
from tests.runs.host_folders import wait_until
from tools.images import ensure_busybox
from tools.private_engine import PrivateEngine
from tools.raw_engine import RawEngine

pytestmark = pytest.mark.private_engine

ATTACHED, DETACHED = 10, 10
AWAY = 1.0
"""Seconds without a daemon."""
LOST = {LightRunnerErrorCode.DOCKER_UNREACHABLE, LightRunnerErrorCode.RUN_FAILED}


@pytest.fixture
def engine() -> Iterator[PrivateEngine]:
    with PrivateEngine() as engine:
        yield engine


async def lost(runner: DockerRunner, request: RunRequest, codes: list[LightRunnerErrorCode]) -> None:
    """Run, and lose the daemon."""
    with pytest.raises(LightRunnerError) as raised:
        await runner.run(request)
    codes.append(raised.value.code)


async def test_the_daemon_and_its_containers_are_killed(engine: PrivateEngine) -> None:
    raw = RawEngine(engine.host)
    image = ensure_busybox(raw)
    codes: list[LightRunnerErrorCode] = []
    detached: list[str] = []

    async def detach(runner: DockerRunner) -> None:
        detached.append(await runner.detach(script(image, "sleep 300")))

    async with DockerRunner(host=engine.host) as runner:
        async with trio.open_nursery() as nursery:
            for _ in range(DETACHED):
                nursery.start_soon(detach, runner)
        async with trio.open_nursery() as nursery:
            for _ in range(ATTACHED):
                nursery.start_soon(lost, runner, script(image, "sleep 300"), codes)
            with trio.fail_after(60):
                await wait_until(lambda: len(raw.containers(all=False)) == ATTACHED + DETACHED)
            engine.crash()
            await trio.sleep(AWAY)
            engine.start()
        assert set(codes) <= LOST
        assert len(codes) == ATTACHED
        names = {name_of(run_id) for run_id in detached}
        assert {thing.split()[1] for thing in ours(raw)} == names, "what was attached is gone already"

        assert {state.id for state in list_states()} == set(detached)
        for run_id in detached:
            try:
                result = await runner.attach(run_id)
            except LightRunnerError as error:
                assert error.code is LightRunnerErrorCode.RUN_FAILED  # noqa: PT017 - either of both is right
            else:
                assert not result.success
                assert result.duration >= 0
        assert ours(raw) == set()
        assert [state.id for state in list_states() if not state.finished] == []
        assert (await runner.run(script(image, "exit 3"))).exit_code == 3


async def test_who_is_attached_to_a_detached_one_can_come_again(engine: PrivateEngine) -> None:
    raw = RawEngine(engine.host)
    image = ensure_busybox(raw)
    async with DockerRunner(host=engine.host) as runner:
        done = await runner.detach(script(image, "exit 3"))
        await exited(raw, done)
        under_way = await runner.detach(script(image, "sleep 300"))
        async with trio.open_nursery() as nursery:

            async def lose() -> None:
                with pytest.raises(LightRunnerError) as raised:
                    await runner.attach(under_way)
                assert raised.value.code is LightRunnerErrorCode.DOCKER_UNREACHABLE

            nursery.start_soon(lose)
            await trio.sleep(0.5)
            engine.crash()
            with pytest.raises(LightRunnerError) as raised:
                await runner.attach(done)
            assert raised.value.code is LightRunnerErrorCode.DOCKER_UNREACHABLE
            engine.start()
        result = await runner.attach(done)
        assert (result.exit_code, result.cancelled) == (3, False)
        result = await runner.attach(under_way)
        assert (result.success, result.cancelled, result.timed_out) == (False, False, False)
        assert ours(raw) == set()


async def test_a_daemon_that_stays_away_leaves_the_rest_to_the_reaper(
    engine: PrivateEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lightrunner.resources.RECONNECT_TIMEOUT", 0.3)
    raw = RawEngine(engine.host)
    image = ensure_busybox(raw)
    async with DockerRunner(host=engine.host) as runner:
        codes: list[LightRunnerErrorCode] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lost, runner, script(image, "sleep 300"), codes)
            await wait_until(lambda: len(raw.containers(all=False)) == 1)
            engine.crash()
        assert codes == [LightRunnerErrorCode.DOCKER_UNREACHABLE]
        assert "could not be removed" in caplog.text
        engine.start()
        assert len(ours(raw)) == 2
        assert (await runner.reap_orphans()).containers == (), "its process lives"
    monkeypatch.setattr("lightrunner.host.owner.boot_id", lambda: "of the next boot")
    async with DockerRunner(host=engine.host) as runner:
        assert len((await runner.reap_orphans()).containers) == 1
    assert ours(raw) == set()


async def test_containers_that_outlive_their_daemon() -> None:
    """live-restore: a detached run does not notice; an attached one has lost its output, and ends."""
    codes: list[LightRunnerErrorCode] = []
    with restoring_engine() as (engine, stack):
        raw = RawEngine(engine.host)
        image = ensure_busybox(raw)
        async with DockerRunner(host=engine.host) as runner:
            run_id = await runner.detach(script(image, f"echo early; {UNTIL_RELEASED}; echo late; exit 5"))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lost, runner, script(image, "sleep 300"), codes)
                await wait_until(lambda: len(raw.containers(all=False)) == 2)
                with daemon_away(engine, stack):
                    await trio.sleep(AWAY)
            assert set(codes) <= LOST
            assert is_running(raw, run_id)
            assert {thing.split()[1] for thing in ours(raw)} == {name_of(run_id)}
            release(raw, run_id)
            lines = Lines()
            result = await runner.attach(run_id, on_log=lines)
            assert (result.exit_code, lines.texts) == (5, ["early", "late"])
            assert ours(raw) == set()
