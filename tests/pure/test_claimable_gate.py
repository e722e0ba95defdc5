"""The gate of a container that is claimed, in real shells: it answers a claim, and stdin ends after so many bytes."""

import subprocess
import threading
from collections.abc import Sequence

import pytest

from lightrunner.rules.gate import ClaimReply, claim_script, claimable_gate_script, dispatch_script, parse_claim_reply
from tests.pure.test_gate import IMAGE, SHELLS

NONCE = "a71f"


@pytest.fixture(params=SHELLS, ids=" ".join, scope="module")
def shell(request: pytest.FixtureRequest) -> list[str]:
    """What the image calls sh."""
    argv: list[str] = request.param
    return argv


def talk(shell: Sequence[str], said: bytes) -> tuple[bytes, int]:
    """Write to a gate whose stdin stays open, as a service's does. Return its output and exit code."""
    with subprocess.Popen(
        [*shell, "-c", claimable_gate_script()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=IMAGE
    ) as gate:
        assert gate.stdin is not None
        assert gate.stdout is not None
        writer = threading.Thread(target=gate.stdin.write, args=[said])  # It may block until the output is read.
        writer.start()
        output = gate.stdout.read()
        writer.join()
        return output, gate.wait(60)


def dispatch(script: str, data: bytes | None) -> bytes:
    size = None if data is None else len(data)
    command = ["sh", "-c", script]
    return dispatch_script(command, ["PATH=/nowhere:/usr/bin:/bin"], [], has_input=data is not None, input_bytes=size)


def test_a_claim_is_answered(shell: list[str]) -> None:
    output, code = talk(shell, claim_script(NONCE) + b"exit 5\n")
    assert code == 5
    assert parse_claim_reply(NONCE, output) == ClaimReply(no_new_privileges=False, takes_input=True)


def test_the_kernel_is_asked(shell: list[str]) -> None:
    output, _ = talk(["setpriv", "--no-new-privs", *shell], claim_script(NONCE) + b"exit\n")
    assert parse_claim_reply(NONCE, output) == ClaimReply(no_new_privileges=True, takes_input=True)


@pytest.mark.parametrize("text", [b"", b"b71f no-new-privileges=1 input=yes\n", b"a71f\n", b"\xff\xff\n"])
def test_what_is_no_answer(text: bytes) -> None:
    assert parse_claim_reply(NONCE, text) is None


def test_an_answer_that_knows_little() -> None:
    reply = parse_claim_reply(NONCE, b"a71f no-new-privileges= input=no\n")
    assert reply == ClaimReply(no_new_privileges=None, takes_input=False)


@pytest.mark.parametrize("data", [b"", b"x", b"one\ntwo\n", bytes(range(256)) * 2000])
def test_input_ends_though_stdin_does_not(shell: list[str], data: bytes) -> None:
    said = claim_script(NONCE) + dispatch("cat; exit 7", data) + data
    output, code = talk(shell, said)
    assert code == 7
    assert output.partition(b"\n")[2] == data


def test_without_input_stdin_is_at_its_end(shell: list[str]) -> None:
    output, code = talk(shell, dispatch("cat; echo $PATH", None))
    assert (output, code) == (b"/nowhere:/usr/bin:/bin\n", 0)


def test_nothing_of_the_input_stays(shell: list[str]) -> None:
    script = "ls -A /dev/shm | grep light-runner; ls /proc/self/fd | wc -w; cat >/dev/null"
    output, code = talk(shell, dispatch(script, b"abc") + b"abc")
    assert code == 0
    assert output == b"4\n"  # stdin, stdout, stderr, and the folder that ls reads


def test_the_command_takes_the_shells_place(shell: list[str]) -> None:
    with subprocess.Popen(
        [*shell, "-c", claimable_gate_script()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=IMAGE
    ) as gate:
        output, _ = gate.communicate(dispatch("echo $$", b"x") + b"x", timeout=60)
        assert output == b"%d\n" % gate.pid
