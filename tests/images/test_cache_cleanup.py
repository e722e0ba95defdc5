"""`DockerRunner.cleanup_orphan_cache` removes images that have long been unused, and keeps images in use."""

import time
from pathlib import Path

import msgspec
import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode
from lightrunner.images.cache_usage import last_uses
from tests.images.builds import Daemon, with_steps
from tests.runs.shell_runs import start
from tools.raw_engine import RawEngine

HOUR = 3600.0


def record(state_dir: Path, age: float, *tags: str) -> None:
    """Write that the tags were used `age` seconds ago, as the file has it."""
    state_dir.mkdir(exist_ok=True)
    (state_dir / "cache-usage.json").write_bytes(msgspec.json.encode(dict.fromkeys(tags, (time.time() - age) * 1000)))


async def test_by_use(runner: DockerRunner, busybox: str, state_dir: Path, daemon: Daemon) -> None:
    old = await runner.prepare(with_steps(busybox, "true"))
    new = await runner.prepare(with_steps(busybox, ":"))
    record(state_dir, 8 * 24 * HOUR, old)  # `new` has no entry: its creation counts.
    done = await runner.cleanup_orphan_cache()
    assert done.removed == (old,)
    assert daemon.tags() == [new]
    assert last_uses() == {}


async def test_by_age_where_no_use_is_recorded(
    runner: DockerRunner, busybox: str, state_dir: Path, daemon: Daemon
) -> None:
    tag = await runner.prepare(with_steps(busybox, "true"))
    (state_dir / "cache-usage.json").unlink()
    assert (await runner.cleanup_orphan_cache(HOUR)).removed == ()
    assert (await runner.cleanup_orphan_cache(0)).removed == (tag,)
    assert daemon.images() == []


async def test_a_hit_is_a_use(runner: DockerRunner, busybox: str, state_dir: Path) -> None:
    request = with_steps(busybox, "true")
    tag = await runner.prepare(request)
    record(state_dir, 2 * HOUR, tag)
    await runner.run(request)
    assert (await runner.cleanup_orphan_cache(HOUR)).removed == ()


async def test_the_bytes_freed_are_the_steps(runner: DockerRunner, busybox: str) -> None:
    await runner.prepare(with_steps(busybox, "head -c 3000000 /dev/zero > /one", "head -c 2000000 /dev/zero > /two"))
    done = await runner.cleanup_orphan_cache(0)
    assert 5_000_000 <= done.freed_bytes < 5_500_000
    assert (await runner.cleanup_orphan_cache(0)).freed_bytes == 0


async def test_what_a_run_uses_stays(runner: DockerRunner, busybox: str, daemon: Daemon) -> None:
    request = with_steps(busybox, "true", script="read line; echo $line", input="go on")
    tag = await runner.prepare(request)
    async with trio.open_nursery() as nursery:
        execution = await start(nursery, runner, with_steps(busybox, "true", script="sleep 600"))
        assert (await runner.cleanup_orphan_cache(0)).removed == ()
        assert daemon.tags() == [tag]
        execution.cancel()
    assert (await runner.cleanup_orphan_cache(0)).removed == (tag,)


async def test_what_a_container_of_somebody_uses_stays(runner: DockerRunner, busybox: str, daemon: Daemon) -> None:
    tag = await runner.prepare(with_steps(busybox, "true"))
    container_id: str = daemon.raw.json("POST", "/containers/create", json={"Image": tag})["Id"]
    try:
        assert (await runner.cleanup_orphan_cache(0)).removed == ()
    finally:
        daemon.raw.remove_container(container_id)
    assert daemon.tags() == [tag]


async def test_the_loser_of_two_builds_goes(runner: DockerRunner, busybox: str, daemon: Daemon) -> None:
    tag = await runner.prepare(with_steps(busybox, "true"))
    (loser,) = daemon.images()
    retag(daemon.raw, busybox, tag)  # As a second build of the same steps does, with an image of its own.
    assert (await runner.cleanup_orphan_cache(HOUR)).removed == ()
    assert (await runner.cleanup_orphan_cache(0)).removed == (loser["Id"],)
    assert daemon.images() == []


async def test_another_name_keeps_the_image(runner: DockerRunner, busybox: str, daemon: Daemon) -> None:
    tag = await runner.prepare(with_steps(busybox, "head -c 3000000 /dev/zero > /file"))
    retag(daemon.raw, tag, "lightrunner-test/kept:1")
    done = await runner.cleanup_orphan_cache(0)
    assert (done.removed, done.freed_bytes) == ((tag,), 0)
    (kept,) = daemon.images()
    assert kept["RepoTags"] == ["lightrunner-test/kept:1"]


async def test_other_images_stay(runner: DockerRunner, busybox: str, daemon: Daemon) -> None:
    await runner.prepare(with_steps(busybox, "true"))
    await runner.cleanup_orphan_cache(0)
    assert daemon.raw.has_image(busybox)


@pytest.mark.parametrize("max_age", [-1.0, float("nan"), "7 days", None, True])
async def test_an_age_that_is_none(runner: DockerRunner, max_age: float) -> None:
    with pytest.raises(LightRunnerError, match="max_age") as raised:
        await runner.cleanup_orphan_cache(max_age)
    assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST


@pytest.mark.usefixtures("unusable_state_dir")
async def test_without_recorded_uses_the_cleanup_goes_on(runner: DockerRunner, busybox: str) -> None:
    tag = await runner.prepare(with_steps(busybox, "true"))
    assert (await runner.cleanup_orphan_cache(HOUR)).removed == ()
    assert (await runner.cleanup_orphan_cache(0)).removed == (tag,)


def retag(raw: RawEngine, image: str, name: str) -> None:
    """Give an image a name, and take it from the one that has it."""
    repository, _, tag = name.rpartition(":")
    raw.request("POST", f"/images/{image}/tag", query={"repo": repository, "tag": tag})
