"""Runtimes by name: gVisor, the name of one that Kata would have, and one that the daemon does not know."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, ExtractSpec, LightRunnerError, LightRunnerErrorCode, RunRequest
from tests.conftest import ours
from tests.runs.shell_runs import shell, start
from tools.engines import gvisor_runtime
from tools.images import ensure_busybox
from tools.private_engine import PrivateEngine, search_path
from tools.raw_engine import RawEngine

pytestmark = [pytest.mark.private_engine, pytest.mark.needs("dockerd")]


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateEngine]:
    """A daemon that knows gVisor, and runc by the name of kata."""
    runc = {"path": shutil.which("runc", path=search_path())}
    with PrivateEngine(config={"runtimes": {"runsc": gvisor_runtime(), "kata": runc}}) as engine:
        ensure_busybox(RawEngine(engine.host))
        yield engine


@pytest.fixture
def raw(engine: PrivateEngine) -> Iterator[RawEngine]:
    """The oracle; after the test nothing of ours is on the daemon."""
    raw = RawEngine(engine.host)
    yield raw
    assert ours(raw) == set()


@pytest.fixture
def image(raw: RawEngine) -> str:
    return ensure_busybox(raw)


@pytest.fixture
async def gvisor(engine: PrivateEngine) -> AsyncIterator[DockerRunner]:
    async with DockerRunner(host=engine.host, runtime="runsc") as runner:
        yield runner


async def test_a_run_in_gvisor(gvisor: DockerRunner, image: str, tmp_path: Path) -> None:
    """Its kernel, input, files in and out, in the workdir and elsewhere."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "seeded").write_text("seed")
    request = shell(
        image,
        "dmesg >log; cat >/elsewhere; cat seeded; exit 0",
        dir=tmp_path / "in",
        input=b"input",
        extract=[ExtractSpec("log", tmp_path / "out"), ExtractSpec("/elsewhere", tmp_path / "out")],
    )
    result = await gvisor.run(request)
    assert (result.exit_code, result.stdout) == (0, b"seed")
    assert "Starting gVisor" in (tmp_path / "out" / "log").read_text()
    assert (tmp_path / "out" / "elsewhere").read_bytes() == b"input"


async def test_gvisor_ends_at_the_time_out(gvisor: DockerRunner, image: str) -> None:
    result = await gvisor.run(shell(image, "sleep 60", timeout=1.0))
    assert (result.timed_out, result.exit_code) == (True, 137)


@pytest.mark.parametrize("network", [None, "none"])
async def test_a_warm_pool_in_gvisor(gvisor: DockerRunner, image: str, network: str | None) -> None:
    template = RunRequest(image=image, network=network)
    async with gvisor.warm(template, size=1) as pool:
        result = await pool.run(shell(image, "dmesg | head -n 1; cat", network=network, input=b"in"))
    assert result.stdout is not None
    assert b"gVisor" in result.stdout
    assert result.stdout.endswith(b"in")


async def test_a_prepared_network_in_gvisor(gvisor: DockerRunner, image: str) -> None:
    async with gvisor.prepared_networks(size=1, network="none"):
        result = await gvisor.run(shell(image, "dmesg | head -n 1; ls /sys/class/net"))
    assert result.stdout is not None
    assert b"gVisor" in result.stdout


async def test_setup_steps_and_a_run_in_gvisor(gvisor: DockerRunner, image: str, raw: RawEngine) -> None:
    """The builder has the daemon's default runtime; the run has the runner's."""
    steps = shell(image, "dmesg | head -n 1; cat /made", run=["echo made >/made"])
    result = await gvisor.run(steps)
    for image_of_ours in cache_images(raw):
        raw.request("DELETE", f"/images/{image_of_ours}")
    assert result.stdout is not None
    assert b"gVisor" in result.stdout
    assert result.stdout.endswith(b"made\n")


def cache_images(raw: RawEngine) -> list[str]:
    tags: list[str] = []
    for image in raw.images():
        tags += image["RepoTags"] or []  # an image without a name has null
    return [tag for tag in tags if tag.startswith("light-runner-cache:")]


async def test_a_registered_name_is_passed_on(engine: PrivateEngine, image: str, raw: RawEngine) -> None:
    async with DockerRunner(host=engine.host, runtime="kata") as runner, trio.open_nursery() as nursery:
        execution = await start(nursery, runner, shell(image, "cat", input=b"here"))
        told = raw.get(f"/containers/{execution.container_id}/json")["HostConfig"]["Runtime"]
        result = await execution.wait()
    assert (result.stdout, told) == (b"here", "kata")


async def test_a_runtime_that_is_not_registered(engine: PrivateEngine, image: str) -> None:
    async with DockerRunner(host=engine.host, runtime="kata-fc") as runner:
        with pytest.raises(LightRunnerError, match="kata-fc") as raised:
            await runner.run(shell(image, "true"))
    assert raised.value.code is LightRunnerErrorCode.CONTAINER_START_FAILED
