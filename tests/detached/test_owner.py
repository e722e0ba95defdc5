"""The owner of a run, and whether it is alive: a pid alone does not identify a process."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lightrunner.host.owner import Owner, current_owner, is_dead, is_gone, owner_of, parse_owner


@pytest.fixture
def other() -> Iterator[subprocess.Popen[str]]:
    """Another process, which tells its owner label and lives until its stdin is closed."""
    program = "from lightrunner.host.owner import current_owner; print(current_owner(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield process
        process.kill()


def owner_in(process: subprocess.Popen[str]) -> Owner:
    assert process.stdout is not None
    owner = parse_owner(process.stdout.readline().strip())
    assert owner is not None
    return owner


def test_this_process_lives() -> None:
    owner = current_owner()
    assert owner.pid == os.getpid()
    assert parse_owner(str(owner)) == owner
    assert is_dead(owner) is False


def test_another_process_lives_until_it_is_killed(other: subprocess.Popen[str]) -> None:
    owner = owner_in(other)
    assert owner.pid == other.pid
    assert is_dead(owner) is False
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(owner) is True, "a zombie runs no code any more"
    other.wait()
    assert is_dead(owner) is True
    assert is_gone(other.pid)


def test_the_number_alone_says_nothing(other: subprocess.Popen[str]) -> None:
    owner = owner_in(other)
    assert is_dead(owner._replace(start=str(int(owner.start) - 1))) is True, "the number was taken again"
    assert is_dead(owner._replace(boot="another boot")) is True


def test_another_host_cannot_be_judged() -> None:
    mine = current_owner()
    machine, _, namespace = mine.host.partition("-pid:")
    assert namespace
    for host in ("elsewhere", f"{machine}-pid:[1]"):
        assert is_dead(mine._replace(host=host, boot="another boot", pid=1)) is None


def unreadable(_: str) -> str:
    """What reading a file of /proc gives where there is none."""
    return ""


def test_a_process_that_is_hidden_cannot_be_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = current_owner()
    monkeypatch.setattr("lightrunner.host.owner._read", unreadable)  # as with /proc mounted hidepid=2
    assert is_dead(owner) is None
    assert is_dead(owner._replace(pid=999_999_999)) is True


def test_without_proc_the_number_has_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightrunner.host.owner.boot_id", lambda: "")
    monkeypatch.setattr("lightrunner.host.owner._read", unreadable)
    monkeypatch.setattr("lightrunner.host.owner.owner_of", owner_of.__wrapped__)  # Not what is known already.
    owner = current_owner()
    assert (owner.boot, owner.start) == ("", "")
    assert is_dead(owner) is False
    assert is_dead(owner._replace(pid=999_999_999)) is True


def test_anothers_process_is_not_gone() -> None:
    assert is_gone(1) is False
    assert is_gone(999_999_999) is True


@pytest.mark.parametrize(
    "label",
    ["", "/", "host", "host/boot/1", "host/boot/1/2/3", "/boot/1/2", "host/boot//2", "host/boot/0/2", "host/boot/-1/2",
     "host/boot/+1/2", "host/boot/1 /2", "host/boot/x/2", "host/boot/\u0661/2", "host/boot/1e3/2",
     "host/boot/" + "9" * 5000 + "/2"],
)  # fmt: skip
def test_labels_that_are_not_ours(label: str) -> None:
    assert parse_owner(label) is None


def test_a_label_may_lack_what_the_system_does_not_have() -> None:
    assert parse_owner("host//123/") == Owner("host", "", 123, "")
