"""The init program's volume: installed once, read-only in containers, repaired where it is incomplete."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from lightrunner import LightRunnerError
from lightrunner.engine import EngineClient
from lightrunner.init.program import init_program
from lightrunner.init.volume import InitVolume
from lightrunner.rules.limits import INIT_PATH, INIT_VOLUME_PREFIX
from tools.raw_engine import RawEngine

MOUNT = "/.light-runner"


@pytest.fixture
async def engine(engine_host: str, daemon_clean: RawEngine) -> AsyncIterator[EngineClient]:  # noqa: ARG001
    async with EngineClient(engine_host) as engine:
        yield engine


@pytest.fixture
def no_volume(raw: RawEngine) -> None:
    """The daemon has no init volume."""
    for volume in raw.volumes():
        if volume["Name"].startswith(INIT_VOLUME_PREFIX):
            raw.request("DELETE", f"/volumes/{volume['Name']}")


def run(raw: RawEngine, volume: str, command: list[str], image: str, **host_config: Any) -> tuple[int, str]:
    """Run a command in a container with the volume; its exit code and its output."""
    mount = {"Type": "volume", "Source": volume, "Target": MOUNT, "ReadOnly": True}
    body = {
        "Image": image,
        "Entrypoint": command,
        "Cmd": [],
        "HostConfig": {"NetworkMode": "none", "Mounts": [mount], **host_config},
    }
    container: str = raw.json("POST", "/containers/create", json=body)["Id"]
    try:
        raw.request("POST", f"/containers/{container}/start")
        status: int = raw.json("POST", f"/containers/{container}/wait")["StatusCode"]
        _, logs = raw.request("GET", f"/containers/{container}/logs", query={"stdout": 1, "stderr": 1})
        return status, logs[8:].decode()
    finally:
        raw.remove_container(container)


@pytest.mark.usefixtures("no_volume")
async def test_the_program_runs_from_the_volume(engine: EngineClient, raw: RawEngine, busybox: str) -> None:
    name = await InitVolume(engine).ensure()
    assert name.startswith(INIT_VOLUME_PREFIX)
    status, _ = run(raw, name, [INIT_PATH, "no-such-mode"], busybox, ReadonlyRootfs=True)
    assert status == 64


async def test_no_container_can_change_the_program(engine: EngineClient, raw: RawEngine, busybox: str) -> None:
    name = await InitVolume(engine).ensure()
    status, output = run(raw, name, ["sh", "-c", f"echo x > {INIT_PATH}"], busybox)
    assert status != 0
    assert "Read-only" in output


@pytest.mark.usefixtures("no_volume")
async def test_many_install_at_once(engine: EngineClient, raw: RawEngine) -> None:
    names = set[str]()

    async def install() -> None:
        names.add(await InitVolume(engine).ensure())

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(install)
    assert len(names) == 1
    assert [volume["Name"] for volume in raw.volumes() if volume["Name"] in names] == [*names]


@pytest.mark.usefixtures("no_volume")
async def test_an_empty_volume_is_filled(engine: EngineClient, raw: RawEngine, busybox: str) -> None:
    """A daemon that is killed while it creates the volume leaves one without the program."""
    program = init_program("amd64")
    assert program is not None
    name = INIT_VOLUME_PREFIX + program.digest
    raw.json("POST", "/volumes/create", json={"Name": name})
    assert await InitVolume(engine).ensure(repair=True) == name
    assert run(raw, name, [INIT_PATH, "no-such-mode"], busybox)[0] == 64


@pytest.mark.usefixtures("no_volume")
async def test_a_foreign_volume_is_refused(
    engine: EngineClient, raw: RawEngine, busybox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightrunner.init.volume._COPY_TIMEOUT", 0.3)
    program = init_program("amd64")
    assert program is not None
    name = INIT_VOLUME_PREFIX + program.digest
    mount = {"Type": "volume", "Source": name, "Target": "/bin"}  # Docker copies busybox's own /bin into it.
    container = raw.json("POST", "/containers/create", json={"Image": busybox, "HostConfig": {"Mounts": [mount]}})
    raw.remove_container(container["Id"])
    with pytest.raises(LightRunnerError, match=name):
        await InitVolume(engine).ensure(repair=True)
    raw.request("DELETE", f"/volumes/{name}")


def test_there_is_none_for_other_architectures() -> None:
    assert init_program("s390x") is None
