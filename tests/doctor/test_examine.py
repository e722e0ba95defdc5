"""An examination of a real daemon, and of places where none is."""

from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, RunRequest
from lightrunner.doctor import Diagnosis, Finding, examine
from tests.detached.host_process import as_keywords, host_process
from tools.raw_engine import RawEngine

NETWORK = "light-runner-isolated"


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv("LIGHT_RUNNER_STATE_DIR", str(folder))
    return folder


def found(diagnosis: Diagnosis, check: str) -> Finding:
    (finding, *more) = (it for it in diagnosis.findings if it.check == check)
    assert not more
    return finding


async def test_a_daemon(engine_host: str, raw: RawEngine) -> None:
    version, info = raw.version(), raw.get("/info")
    diagnosis = await examine(engine_host)
    assert diagnosis.reachable
    assert diagnosis.level != "error"
    assert "chosen by the given host" in found(diagnosis, "endpoint").message
    assert f"the daemon's is {version['ApiVersion']}" in found(diagnosis, "api").message
    assert version["Version"] in found(diagnosis, "daemon").message
    assert f"cgroup v{info['CgroupVersion']}" in found(diagnosis, "cgroup").message
    assert info["Driver"] in found(diagnosis, "storage").message
    assert all(name in found(diagnosis, "runtimes").message for name in info["Runtimes"])
    assert found(diagnosis, "leftovers").level == "ok"


async def test_an_examination_changes_nothing(engine_host: str, raw: RawEngine, state_dir: Path) -> None:
    def there() -> tuple[set[str], object, object]:
        return {network["Id"] for network in raw.get("/networks")}, raw.containers(), raw.volumes()

    before = there()
    await examine(engine_host)
    assert there() == before
    assert not await trio.Path(state_dir).exists()


async def test_the_isolated_network_after_a_run(engine_host: str, busybox: str, daemon_clean: RawEngine) -> None:
    daemon_clean.ping()
    async with DockerRunner(host=engine_host) as runner:
        await runner.run(RunRequest(image=busybox, entrypoint="true"))
    assert "no traffic between containers (enable_icc=false)" in found(await examine(engine_host), "network").message


@pytest.mark.private_engine
async def test_a_network_of_that_name_that_is_not_isolated() -> None:
    from tools.private_engine import PrivateEngine  # noqa: PLC0415 - only here

    with PrivateEngine() as engine:
        RawEngine(engine.host).json("POST", "/networks/create", json={"Name": NETWORK, "Driver": "bridge"})
        finding = found(await examine(engine.host), "network")
        assert (finding.level, "docker network rm" in (finding.advice or "")) == ("error", True)


async def test_what_a_killed_process_has_left(engine_host: str, busybox: str, daemon_clean: RawEngine) -> None:
    keywords = as_keywords(busybox, "echo up; sleep 60")
    async with host_process(engine_host, "run", keywords) as process:
        await process.next_told(2)
        process.process.kill()
    try:
        finding = found(await examine(engine_host), "leftovers")
        assert (finding.level, finding.advice) == ("warning", "lightrunner reap; call it from cron")
        assert "1 containers and 0 volumes" in finding.message
    finally:
        async with DockerRunner(host=engine_host) as runner:
            assert len((await runner.reap_orphans()).containers) == 1
    assert found(await examine(engine_host), "leftovers").level == "ok"
    assert daemon_clean.containers(label="light-runner.run-id") == []


async def test_no_daemon(tmp_path: Path) -> None:
    diagnosis = await examine(f"unix://{tmp_path}/none.sock")
    assert (diagnosis.reachable, diagnosis.level) == (False, "error")
    assert "start Docker" in (found(diagnosis, "daemon").advice or "")


async def test_a_host_that_is_no_url() -> None:
    diagnosis = await examine("nonsense")
    assert (diagnosis.reachable, diagnosis.level) == (False, "error")
    assert "nonsense" in found(diagnosis, "endpoint").message


async def test_the_environment_names_the_daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LIGHT_RUNNER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert found(await examine(), "endpoint").message == f"unix://{tmp_path}/none.sock, chosen by DOCKER_HOST"


async def test_a_daemon_without_encryption() -> None:
    finding = found(await examine("tcp://127.0.0.1:1"), "endpoint")
    assert (finding.level, "root on the daemon's host" in finding.message) == ("warning", True)


async def test_a_state_folder_that_cannot_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_dir: Path
) -> None:
    await trio.Path(state_dir).mkdir()
    await trio.Path(state_dir).chmod(0o777)
    assert "other users" in (found(await examine("x"), "state").message)
    file = tmp_path / "file"
    await trio.Path(file).touch()
    monkeypatch.setenv("LIGHT_RUNNER_STATE_DIR", str(file))
    assert "is not a folder" in found(await examine("x"), "state").message
    monkeypatch.setenv("LIGHT_RUNNER_STATE_DIR", "~no-such-user/state")
    assert "detached runs do not work" in found(await examine("x"), "state").message
