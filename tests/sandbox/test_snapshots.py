"""Snapshots of sandboxes, and warm sandboxes."""

from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, RunRequest
from tests.runs.conftest import ImageVariant
from tools.raw_engine import RawEngine


async def test_a_snapshot_is_forked(runner: DockerRunner, raw: RawEngine, image_variant: ImageVariant) -> None:
    """Both file systems are part of it, with owners and modes; the request's environment is not."""
    image = image_variant("with-command", "USER app", 'CMD ["id", "-un"]', "ENV OWN=1")
    request = RunRequest(image=image, network="none", env={"SECRET": "x"})
    async with runner.sandbox(request) as box:
        await box.exec("mkdir sub; echo one > sub/file; chmod 640 sub/file; ln -s sub/file link")
        await box.exec("echo two > /etc/two; chmod 600 /etc/two; chown app /etc/two", user="root")
        await box.exec("sleep 1000 &", background=True)
        reference = await box.snapshot("fork-test")
        assert reference == "light-runner-cache:snapshot-fork-test"
        assert (await box.exec("cat link")).stdout == b"one\n"
        await box.exec("echo later > sub/file")
    config = raw.get(f"/images/{reference}/json")["Config"]
    assert (config["User"], config["Cmd"], config["Entrypoint"] or []) == ("app", ["id", "-un"], [])
    assert not any(entry.startswith("SECRET") for entry in config["Env"])
    assert config["Labels"]["light-runner.kind"] == "cache"

    async def fork(number: int) -> None:
        async with runner.sandbox(RunRequest(image=reference, network="none")) as box:
            command = f"cat link /etc/two; stat -c '%U %a' sub/file /etc/two; echo {number} > sub/file"
            command += "; ps | grep -c '[s]leep'"
            assert (await box.exec(command)).stdout == b"one\ntwo\napp 640\napp 600\n0\n"

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(fork, number)
    uses = {image.tag: image.last_used for image in await runner.list_cache()}
    assert uses[reference] is not None
    run = await runner.run(RunRequest(image=reference, network="none", capture_output=True))
    assert run.stdout == b"app\n"
    cleaned = await runner.cleanup_orphan_cache(0)
    assert reference in cleaned.removed
    assert reference not in str(raw.images())


async def test_a_name_moves_to_the_latest_snapshot(runner: DockerRunner, busybox: str) -> None:
    async with runner.sandbox(RunRequest(image=busybox, network="none")) as box:
        await box.write("file", b"0\n")
        await box.snapshot("twice")
        await box.write("file", b"1\n")
        reference = await box.snapshot("twice")
    async with runner.sandbox(RunRequest(image=reference, network="none")) as box:
        assert await box.read("file") == b"1\n"
    await runner.cleanup_orphan_cache(0)


async def test_a_cancelled_snapshot_leaves_a_sandbox_that_works(runner: DockerRunner, busybox: str) -> None:
    async with runner.sandbox(RunRequest(image=busybox, network="none")) as box:
        for seconds in (0.0, 0.02, 0.1):
            with trio.move_on_after(seconds):
                await box.snapshot("cancelled")
            assert (await box.exec("echo fine")).stdout == b"fine\n"
    await runner.cleanup_orphan_cache(0)


async def test_warm_sandboxes_are_like_cold_ones(
    runner: DockerRunner, raw: RawEngine, busybox: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("seeded")
    request = RunRequest(image=busybox, network="none", dir=tmp_path, env={"A": "1"})
    async with runner.warm_sandboxes(request, size=2) as pool:
        ids = set[str]()
        for _ in range(3):
            async with pool.sandbox() as box:
                ids.add(box.id)
                assert (await box.exec("cat file; echo $A")).stdout == b"seeded1\n"
        assert len(ids) == 3
        async with pool.sandbox() as box:
            raw.request("POST", f"/containers/{box.container_id}/kill")
            with trio.fail_after(20), pytest.raises(LightRunnerError):
                await box.exec("sleep 1000")
        with trio.move_on_after(0.5):
            async with pool.sandbox() as box:
                await box.exec("sleep 1000")


async def test_a_warm_sandbox_that_died_is_not_given_out(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    async with runner.warm_sandboxes(RunRequest(image=busybox, network="none"), size=1) as pool:
        for container in raw.containers():
            if "light-runner.run-id" in container["Labels"]:
                raw.request("POST", f"/containers/{container['Id']}/kill")
        async with pool.sandbox() as box:
            assert (await box.exec("true")).success
