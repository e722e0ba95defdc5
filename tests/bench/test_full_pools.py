"""A pool counts as full when every used container has been replaced, and not before."""

import pytest
import trio

from bench import full_pools
from bench.full_pools import FullPools, Kept, own_containers, refilled
from bench.sampling import Sample
from lightrunner import DockerRunner, RunRequest
from lightrunner.engine import EngineClient
from lightrunner.rules.limits import PAUSE_KIND

pytestmark = pytest.mark.usefixtures("daemon_clean")


async def test_a_sample_comes_when_another_one_is_ready(engine_host: str, busybox: str) -> None:
    request = RunRequest(image=busybox, entrypoint="true", network="none")
    async with (
        DockerRunner(host=engine_host) as runner,
        runner.warm(request, size=2) as pool,
        EngineClient(engine_host) as engine,
    ):

        async def one() -> Sample:
            return Sample((await pool.run(request)).check().duration)

        before = await own_containers(engine)
        contender = refilled(one, await FullPools.seen_full(engine))
        for used in (1, 2):
            assert (await contender()).value > 0
            now = await own_containers(engine)
            assert list(now.values()) == [Kept("running", ""), Kept("running", "")]
            assert len(now.keys() - before.keys()) == used


async def test_what_nobody_used_is_not_refilled(
    engine_host: str, busybox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a run which found its pool empty does not pass for one that used it."""
    monkeypatch.setattr(full_pools, "REFILL_TIMEOUT", 0.2)
    request = RunRequest(image=busybox, entrypoint="true", network="none")
    async with (
        DockerRunner(host=engine_host) as runner,
        runner.prepared_networks(1),
        EngineClient(engine_host) as engine,
    ):
        full = await FullPools.seen_full(engine)
        (await runner.run(request)).check()  # On another network than the prepared one.
        await full.wait_full(used=0)
        with pytest.raises(trio.TooSlowError):
            await full.wait_full(used=1, kind=PAUSE_KIND)


async def test_a_new_holder_is_no_new_container(engine_host: str, busybox: str) -> None:
    request = RunRequest(image=busybox, entrypoint="true")
    async with (
        DockerRunner(host=engine_host) as runner,
        runner.warm(request, size=1) as pool,
        EngineClient(engine_host) as engine,
    ):
        before = await own_containers(engine)
        assert sorted(kept.kind for kept in before.values()) == ["", PAUSE_KIND]
        full = await FullPools.seen_full(engine)
        (await pool.run(request)).check()
        await full.wait_full()
        now = await own_containers(engine)
        assert len(now) == 2
        assert not before.keys() & now.keys()
