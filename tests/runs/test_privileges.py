"""A container cannot gain privileges, forge packets, make devices or change its root."""

import pytest

from lightrunner import DockerRunner
from tests.runs.conftest import CommittedImage, MakeRunner
from tests.runs.shell_runs import Run, shell
from tools.raw_engine import RawEngine

# linux/capability.h: Docker's default set without NET_RAW, MKNOD, SYS_CHROOT, SETPCAP, SETFCAP and AUDIT_WRITE.
CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, NET_BIND_SERVICE = 0, 1, 3, 4, 5, 6, 7, 10
KEPT = {CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, NET_BIND_SERVICE}

FORBIDDEN = "mknod /tmp/null c 1 3; echo mknod $?; chroot / true; echo chroot $?"

RAW_SOCKET = """
import socket
try:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
except PermissionError:
    print("refused")
try:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
except PermissionError:
    print("refused")
"""


def capabilities(status: bytes) -> dict[str, set[int]]:
    """The capability sets in a /proc/PID/status."""
    fields = dict(line.split(":\t", 1) for line in status.decode().splitlines() if line.startswith("Cap"))
    return {name: {bit for bit in range(64) if int(mask, 16) >> bit & 1} for name, mask in fields.items()}


async def test_capabilities_are_dropped(run: Run, busybox: str) -> None:
    result = await run(shell(busybox, "cat /proc/self/status"))
    assert result.stdout is not None
    sets = capabilities(result.stdout)
    assert sets["CapBnd"] == sets["CapEff"] == sets["CapPrm"] == KEPT
    assert sets["CapAmb"] == set()


async def test_devices_and_other_roots_are_refused(runner: DockerRunner, busybox: str) -> None:
    result = await runner.run(shell(busybox, FORBIDDEN))
    assert result.stdout == b"mknod 1\nchroot 1\n"
    assert result.stderr is not None
    assert result.stderr.count(b"Operation not permitted") == 2


def test_a_container_with_docker_s_defaults_may(raw: RawEngine, busybox: str) -> None:
    # The same script, so that the test above is one that can fail.
    body = {"Image": busybox, "Cmd": ["sh", "-c", FORBIDDEN], "Tty": True, "HostConfig": {"NetworkMode": "none"}}
    container_id = raw.json("POST", "/containers/create", json=body)["Id"]
    raw.request("POST", f"/containers/{container_id}/start")
    raw.request("POST", f"/containers/{container_id}/wait")
    output = raw.request("GET", f"/containers/{container_id}/logs", query={"stdout": 1})[1]
    raw.remove_container(container_id)
    assert output.split() == [b"mknod", b"0", b"chroot", b"0"]


@pytest.mark.parametrize("network", [None, "none"])
async def test_raw_sockets_are_refused(runner: DockerRunner, python_image: str, network: str | None) -> None:
    result = await runner.run(shell(python_image, "python -", input=RAW_SOCKET.encode(), network=network))
    assert (result.stdout, result.stderr) == (b"refused\nrefused\n", b"")


@pytest.mark.parametrize("flag", [True, False])
async def test_no_new_privileges(
    make_runner: MakeRunner, python_image: str, committed_image: CommittedImage, *, flag: bool
) -> None:
    # A program with the setuid bit makes another user root, unless that is off. (Busybox would drop it by itself.)
    become_root = "cp /usr/bin/python3.11 /usr/bin/setuid && chmod 4755 /usr/bin/setuid"
    image = committed_image("setuid", become_root, base=python_image, User="app")
    script = "print(open('/proc/self/status').read())"
    async with make_runner(no_new_privileges=flag) as runner:
        result = await runner.run(shell(image, f'setuid -c "{script}"'))
    assert result.stdout is not None
    status = dict(line.split(":\t", 1) for line in result.stdout.decode().splitlines() if ":\t" in line)
    effective_user = status["Uid"].split()[1]
    assert (status["NoNewPrivs"], effective_user) == (("1", "1000") if flag else ("0", "0"))
