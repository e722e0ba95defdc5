"""The init program's mode `secrets`, fed by hand: in a mount namespace of its own, on both architectures."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from lightrunner.init.program import ARCHITECTURES, init_program
from lightrunner.rules.limits import MAX_SECRETS, MAX_SECRETS_BYTES
from lightrunner.rules.secrets import READY, Secrets

pytestmark = pytest.mark.engine  # It needs root and Linux, as a private engine does.

EMULATORS = {"amd64": "qemu-x86_64-static", "arm64": "qemu-aarch64-static"}
NATIVE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
TMPFS = "mount -t tmpfs none /run; mkdir /run/secrets; mount -t tmpfs -o size=5m none /run/secrets; umask 0277; "
SHOW = "cd /run/secrets && for n in $(ls -A); do stat -c '%n %a %s' $n; done; cat"


@pytest.fixture(
    scope="module", params=[name for name in ARCHITECTURES if name == NATIVE or shutil.which(EMULATORS[name])]
)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The program of an architecture, and what runs it here."""
    name: str = request.param
    path = tmp_path_factory.mktemp(name) / "init"
    built = init_program(name)
    assert built is not None
    path.write_bytes(built.data)
    path.chmod(0o755)
    return [*([] if name == NATIVE else [EMULATORS[name]]), str(path)]


def run(program: list[str], stdin: bytes, *command: str, setup: str = TMPFS) -> tuple[int, bytes, bytes]:
    """Run the mode; its exit code, stdout and stderr."""
    argv = ["unshare", "--mount", "sh", "-ec", f'{setup}exec "$@"', "sh", *program, "secrets", *command]
    ended = subprocess.run(argv, input=stdin, capture_output=True, check=False, timeout=60)
    return ended.returncode, ended.stdout, ended.stderr


CONTENTS = {"a": b"\0\n", "empty": b"", "b.pem": bytes(range(256)) * 200}
PACKED = bytes(Secrets(CONTENTS).packed)


def test_secrets_then_input(program: list[str]) -> None:
    code, stdout, stderr = run(program, PACKED + b"i" + b"\0input", "sh", "-c", SHOW)
    assert (code, stderr) == (0, b"")
    assert stdout == READY + b"a 400 2\nb.pem 400 51200\nempty 400 0\n\0input"


def test_secrets_without_input(program: list[str]) -> None:
    code, stdout, _ = run(program, PACKED + b"n" + b"never read", "sh", "-c", "cat; readlink /proc/self/fd/0; exit 3")
    assert (code, stdout) == (3, READY + b"/dev/null\n")


@pytest.mark.parametrize(
    "cut", [0, 1, 3, 4, 5, 11, 12, 13, 14, 15, 100, len(PACKED) // 2, len(PACKED) - 1, len(PACKED)]
)
def test_a_stdin_that_ends_early_starts_nothing(program: list[str], cut: int) -> None:
    code, stdout, stderr = run(program, PACKED[:cut], "echo", "started")
    assert (code, stdout) == (125, READY if cut == len(PACKED) else b"")
    assert b"stdin" in stderr or cut == len(PACKED)


def packed(*secrets: tuple[bytes, bytes], count: int | None = None) -> bytes:
    """What `Secrets` would never pack."""
    parts = [(len(secrets) if count is None else count).to_bytes(4, "little")]
    for name, content in secrets:
        parts += [len(name).to_bytes(4, "little"), len(content).to_bytes(4, "little"), name, content]
    return b"".join(parts)


@pytest.mark.parametrize(
    "stdin",
    [
        packed((b"../x", b"")),
        packed((b"..", b"")),
        packed((b".", b"")),
        packed((b"", b"")),
        packed((b"a\0b", b"")),
        packed((b"n" * 256, b"")),
        packed((b"a", bytes(MAX_SECRETS_BYTES)), (b"b", b"1")),
        packed(count=MAX_SECRETS + 1),
        packed(count=2**32 - 1),
        b"\xff" * 5000,
    ],
)
def test_what_is_not_packed_as_it_should_be(program: list[str], stdin: bytes) -> None:
    code, stdout, stderr = run(program, stdin + b"i" * 100, "echo", "started")
    assert (code, stdout) == (125, b"")
    assert stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("setup", "reason"),
    [
        ("mount -t tmpfs none /run; ", b"there is no tmpfs: /run/secrets\n"),
        ("mount -t tmpfs none /run; ln -s /tmp /run/secrets; ", b"there is no tmpfs: /run/secrets\n"),
        ("mount -t tmpfs none /run; mkdir /run/secrets; mount -t proc none /run/secrets; ", b"there is no tmpfs"),
        (f"{TMPFS}chown 7 /run/secrets; ", b"another user owns: /run/secrets\n"),
        (TMPFS.replace("5m", "16k"), b"the secret cannot be written: b.pem\n"),
    ],
)
def test_a_folder_that_is_not_theirs(program: list[str], setup: str, reason: bytes) -> None:
    code, stdout, stderr = run(program, PACKED + b"i", "echo", "started", setup=setup)
    assert (code, stdout) == (125, b"")
    assert stderr.startswith(reason)


def test_what_lies_in_a_names_place_is_replaced(program: list[str]) -> None:
    setup = f"{TMPFS}echo old >/run/secrets/a; ln -s /etc/passwd /run/secrets/empty; "
    code, stdout, _ = run(program, PACKED + b"i", "sh", "-c", SHOW, setup=setup)
    assert (code, stdout.splitlines()[1::2]) == (0, [b"a 400 2", b"empty 400 0"])


def test_the_command_is_looked_up_as_runtimes_do(program: list[str], tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no program")
    (tmp_path / "folder").mkdir()
    (tmp_path / "garbage").write_bytes(b"\x7fELF")
    (tmp_path / "garbage").chmod(0o755)
    for command, reason in (
        (str(tmp_path / "data"), b"the program may not be executed"),
        (str(tmp_path / "folder"), b"the program may not be executed"),
        (str(tmp_path / "none"), b"there is no such program"),
        ("data", b"there is no such program"),
        ("", b"there is no such program"),
        ("x" * 5000, b"there is no such program"),
    ):
        code, stdout, stderr = run(program, PACKED + b"i", command)
        assert (code, stdout) == (125, b"")
        assert stderr.startswith(reason)
    code, stdout, stderr = run(program, PACKED + b"i", str(tmp_path / "garbage"))
    assert (code, stdout) == (126, READY)
    assert b"cannot be executed" in stderr
    assert run(program, PACKED + b"i", "env", "-i", "true")[0] == 0
    assert os.path.exists("/run/secrets/a") is False  # noqa: PTH110 - the host's own folder
