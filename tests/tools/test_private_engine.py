"""The private engine affects nothing else on the machine, and leaves nothing behind, however it ends."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools.images import ensure_busybox
from tools.private_engine import PrivateEngine, PrivateEngineError, answers
from tools.raw_engine import RawEngine, RawEngineError

pytestmark = pytest.mark.private_engine

OWNER = """
import time
from tools.private_engine import PrivateEngine
engine = PrivateEngine()
engine.start()
print(engine.socket.parent, engine.pid, flush=True)
time.sleep(60)
"""


def start_container(raw: RawEngine, image: str, *command: str, network: str = "bridge") -> str:
    body = {"Image": image, "Cmd": command, "HostConfig": {"NetworkMode": network}}
    container_id: str = raw.json("POST", "/containers/create", json=body)["Id"]
    raw.request("POST", f"/containers/{container_id}/start")
    return container_id


def wait_exit(raw: RawEngine, container_id: str) -> int:
    status: int = raw.json("POST", f"/containers/{container_id}/wait")["StatusCode"]
    return status


def cgroups_of(folder: Path) -> list[Path]:
    root = Path("/sys/fs/cgroup")
    return [*root.glob(folder.name), *root.glob(f"*/{folder.name}")]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def engine() -> Iterator[PrivateEngine]:
    with PrivateEngine() as engine:
        yield engine


def test_nothing_is_left_after_the_end() -> None:
    interfaces_before = interfaces()
    with PrivateEngine() as engine:
        raw = RawEngine(engine.host)
        start_container(raw, ensure_busybox(raw), "sleep", "60")
        assert answers(engine.host)
        assert cgroups_of(engine.socket.parent)
        assert interfaces() == interfaces_before, "the engine's bridges are in a network namespace of its own"
        pid = engine.pid
    assert not answers(engine.host)
    assert not engine.socket.parent.exists()
    assert not cgroups_of(engine.socket.parent)
    assert not Path(f"/proc/{pid}").exists()
    assert engine.socket.parent.name not in Path("/proc/self/mountinfo").read_text()


def interfaces() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}


def test_two_engines_do_not_disturb_each_other(engine: PrivateEngine) -> None:
    first = RawEngine(engine.host)
    server = start_container(first, ensure_busybox(first), "nc", "-l", "-p", "7", "-e", "echo", "hello")
    address = first.get(f"/containers/{server}/json")["NetworkSettings"]["IPAddress"]
    with PrivateEngine() as other:
        second = RawEngine(other.host)
        start_container(second, ensure_busybox(second), "sleep", "60")
        assert [len(raw.containers()) for raw in (first, second)] == [1, 1]
    # The other engine has come and gone, and the first one's bridge carries packets still.
    client = start_container(first, ensure_busybox(first), "nc", "-w", "5", address, "7")
    assert wait_exit(first, client) == 0
    assert b"hello" in first.request("GET", f"/containers/{client}/logs", query={"stdout": 1})[1]


def test_the_orphans_of_containers_are_reaped(engine: PrivateEngine) -> None:
    raw = RawEngine(engine.host)
    for _ in range(2):
        assert wait_exit(raw, start_container(raw, ensure_busybox(raw), "true", network="none")) == 0

    def children() -> list[str]:
        return Path(f"/proc/{engine.pid}/task/{engine.pid}/children").read_text().split()

    wait_until(lambda: len(children()) == 1)  # dockerd


def test_a_crash_keeps_the_data_and_kills_the_containers(engine: PrivateEngine) -> None:
    raw = RawEngine(engine.host)
    container_id = start_container(raw, ensure_busybox(raw), "sleep", "60")
    raw.request("POST", "/volumes/create", json={"Name": "kept"})
    engine.crash()
    assert not answers(engine.host)
    engine.start()
    assert [volume["Name"] for volume in raw.volumes()] == ["kept"]
    assert [(thing["Id"], thing["State"]) for thing in raw.containers()] == [(container_id, "exited")]


def test_the_engine_dies_with_its_owner_and_the_next_one_tidies_up() -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner, owner.stdout as stdout:
        folder_name, pid = stdout.readline().split()
        folder = Path(folder_name)
        assert answers(f"unix://{folder}/docker.sock")
        owner.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_alive(int(pid)))
    assert not answers(f"unix://{folder}/docker.sock")
    assert folder.exists()
    with PrivateEngine():
        assert not folder.exists()
        assert not cgroups_of(folder)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_configuration_reaches_the_daemon() -> None:
    with PrivateEngine(config={"labels": ["a=b"]}, extra_args=["--log-level=debug"]) as engine:
        assert RawEngine(engine.host).get("/info")["Labels"] == ["a=b"]
        assert "level=debug" in engine.log_path.read_text()


def test_an_engine_that_does_not_start_shows_its_log_and_leaves_nothing() -> None:
    engine = PrivateEngine(extra_args=["--no-such-flag"])
    with pytest.raises(PrivateEngineError, match="unknown flag: --no-such-flag"), engine:
        pass
    assert not engine.socket.parent.exists()


def test_an_import_that_fails_within_a_200_is_an_error(engine: PrivateEngine, tmp_path: Path) -> None:
    (tmp_path / "no.tar").write_bytes(b"not a tar" * 1000)
    with pytest.raises(RawEngineError):
        RawEngine(engine.host).import_image("a:b", tmp_path / "no.tar")
