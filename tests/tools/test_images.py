"""The images have what the tests, the demo and the benchmarks rely on."""

from pathlib import Path

import pytest

from tools.images import BUSYBOX_PACKAGES, ensure_busybox, rootfs
from tools.raw_engine import RawEngine

pytestmark = pytest.mark.engine  # the one that needs no daemon needs Debian


def output(raw: RawEngine, image: str, *command: str, user: str = "") -> str:
    """Run a command to its end and return what it printed; a terminal keeps the log free of frames."""
    body = {"Image": image, "Cmd": command, "User": user, "Tty": True, "HostConfig": {"NetworkMode": "none"}}
    container_id = raw.json("POST", "/containers/create", json=body)["Id"]
    try:
        raw.request("POST", f"/containers/{container_id}/start")
        status = raw.json("POST", f"/containers/{container_id}/wait")["StatusCode"]
        query = {"stdout": 1, "stderr": 1}
        text = raw.request("GET", f"/containers/{container_id}/logs", query=query)[1].decode()
    finally:
        raw.remove_container(container_id)
    assert status == 0, text
    return text.replace("\r\n", "\n")


def test_busybox_has_its_applets(raw: RawEngine, busybox: str) -> None:
    script = "for name in sh tar env head sleep nc chroot mknod ping; do which $name; done; echo works | cat"
    assert output(raw, busybox, "sh", "-ec", script).endswith("works\n")


@pytest.mark.parametrize(("user", "expected"), [("", "0 /root"), ("app", "1000 /home/app")])
def test_both_users_have_a_home_and_tmp(raw: RawEngine, busybox: str, user: str, expected: str) -> None:
    script = "touch /tmp/file ~/file; echo $(id -u) ~; stat -c %a /tmp"
    assert output(raw, busybox, "sh", "-ec", script, user=user) == f"{expected}\n1777\n"


def test_python_has_its_standard_library(raw: RawEngine, python_image: str) -> None:
    script = "import json, pathlib, sys, time, ssl, sqlite3, subprocess; print(json.dumps(sys.version_info[:2]))"
    assert output(raw, python_image, "python", "-c", script) == "[3, 11]\n"
    assert output(raw, python_image, "sh", "-c", "cd / && ls -d root; python3 -c 'print(1)'") == "root\n1\n"


def test_changes_make_a_variant(raw: RawEngine) -> None:
    tag = ensure_busybox(raw, tag="lightrunner-test/user-and-workdir:1", changes=["USER app", "WORKDIR /data"])
    assert output(raw, tag, "sh", "-c", "id -un; pwd") == "app\n/data\n"


def test_a_root_file_system_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = rootfs(BUSYBOX_PACKAGES)
    built = first.stat().st_mtime_ns
    assert rootfs(BUSYBOX_PACKAGES) == first
    assert first.stat().st_mtime_ns == built
    assert list(first.parent.iterdir()) == [first], "nothing half-made stays"
