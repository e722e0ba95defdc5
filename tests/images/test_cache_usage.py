"""The file that records the uses of cache images: written atomically, shared by processes, never fatal."""

import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lightrunner.host import state_dir as state_files
from lightrunner.images.cache_usage import forget, last_uses, record_use
from lightrunner.rules.limits import STATE_DIR_VARIABLE

RECORD = "import sys; from lightrunner.images.cache_usage import record_use; [record_use(tag) for tag in sys.argv[1:]]"
Spoil = Callable[[Path, pytest.MonkeyPatch], None]
HOLD = (
    "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
)


@pytest.fixture
def warnings_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "lightrunner")
    return caplog


def test_uses_are_recorded_and_forgotten(state_dir: Path) -> None:
    before = time.time()
    for tag in ("a", "b", "a"):
        record_use(tag)
    uses = last_uses()
    assert uses.keys() == {"a", "b"}
    assert all(before - 1 <= when <= time.time() + 1 for when in uses.values())
    forget({"a", "unknown"})
    assert last_uses().keys() == {"b"}
    assert state_dir.stat().st_mode & 0o777 == 0o700
    assert (state_dir / "cache-usage.json").stat().st_mode & 0o777 == 0o600


def test_the_file_is_light_runners(state_dir: Path) -> None:
    state_dir.mkdir()
    (state_dir / "cache-usage.json").write_text('{"light-runner-cache:x": 1700000000123}')
    assert last_uses() == {"light-runner-cache:x": 1_700_000_000.123}


def test_without_a_folder_nothing_was_used(state_dir: Path, warnings_logged: pytest.LogCaptureFixture) -> None:
    assert last_uses() == {}
    assert not state_dir.exists()
    assert warnings_logged.records == []


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"a": "b"}', b'{"a": 1e999}', b"\xff", b'{"\xff": 1}', b"null"]
)
def test_a_foreign_file_counts_as_empty(
    state_dir: Path, warnings_logged: pytest.LogCaptureFixture, content: bytes
) -> None:
    state_dir.mkdir()
    (state_dir / "cache-usage.json").write_bytes(content)
    assert last_uses() == {}
    assert "cache-usage.json could not be decoded" in warnings_logged.text
    record_use("a")
    assert last_uses().keys() == {"a"}


def test_processes_do_not_lose_each_others_entries(state_dir: Path) -> None:
    tags = [[f"{process}-{number}" for number in range(10)] for process in range(4)]
    processes = [subprocess.Popen([sys.executable, "-c", RECORD, *some]) for some in tags]
    assert [process.wait() for process in processes] == [0] * len(tags)
    assert last_uses().keys() == {tag for some in tags for tag in some}
    assert {path.name for path in state_dir.iterdir()} == {"cache-usage.json", "cache-usage.lock"}


def folder_is_a_file(state_dir: Path, _: pytest.MonkeyPatch) -> None:
    state_dir.write_text("a file")


def folder_cannot_be_made(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_DIR_VARIABLE, "/proc/no/such/folder")


def no_home(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_DIR_VARIABLE, "~no-such-user/state")


def file_is_a_folder(state_dir: Path, _: pytest.MonkeyPatch) -> None:
    (state_dir / "cache-usage.json").mkdir(parents=True)


@pytest.mark.parametrize("spoil", [folder_is_a_file, folder_cannot_be_made, no_home, file_is_a_folder])
def test_what_cannot_be_written_is_told(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch, warnings_logged: pytest.LogCaptureFixture, spoil: Spoil
) -> None:
    spoil(state_dir, monkeypatch)
    record_use("a")
    assert "the use of the cache image a could not be recorded" in warnings_logged.text
    forget({"a"})
    assert "entries of removed cache images could not be removed" in warnings_logged.text
    assert last_uses() == {}


def test_a_process_that_holds_the_lock_for_ever_does_not_hold_up_a_run(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch, warnings_logged: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(state_files, "LOCK_TIMEOUT", 0.2)
    record_use("before")
    command = [sys.executable, "-c", HOLD, str(state_dir / "cache-usage.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as pause_container:
        assert pause_container.stdout is not None
        pause_container.stdout.readline()
        record_use("meanwhile")
        pause_container.communicate()
    assert "another process holds the lock" in warnings_logged.text
    record_use("after")
    assert last_uses().keys() == {"before", "after"}


def test_a_write_that_fails_changes_nothing(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch, warnings_logged: pytest.LogCaptureFixture
) -> None:
    record_use("before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        record_use("a")
    assert "No space left on device" in warnings_logged.text
    assert last_uses().keys() == {"before"}
    assert {path.name for path in state_dir.iterdir()} == {"cache-usage.json", "cache-usage.lock"}
