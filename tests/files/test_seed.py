"""`dir`: which files of a host folder arrive in the workdir, and which are skipped."""

import hashlib
import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightrunner import DockerRunner
from tests.runs.host_folders import LISTING, LOOKS, lay_out, listed
from tests.runs.shell_runs import Run, shell

UNWANTED = [
    ".git",
    "node_modules",
    "dist",
    "build",
    ".next",
    ".cache",
    ".turbo",
    "coverage",
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".venv",
    "venv",
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


async def test_files_and_folders_arrive(run: Run, busybox: str, source: Path) -> None:
    lay_out(source, {"a": "content of a", "empty": "", "sub/b": bytes(range(256)), "sub/none/": ""})
    script = f"cat a; sha256sum <sub/b; wc -c <empty; {LISTING}"
    result = await run(shell(busybox, script, dir=source))
    assert result.stdout is not None
    head, _, paths = result.stdout.partition(b"\n0\n")
    assert head == b"content of a" + hashlib.sha256(bytes(range(256))).hexdigest().encode() + b"  -"
    assert listed(paths) == {"a", "empty", "sub", "sub/b", "sub/none"}


async def test_it_is_copied_over_what_the_image_has(runner: DockerRunner, busybox: str, source: Path) -> None:
    lay_out(source, {"passwd": "from the host"})
    result = await runner.run(shell(busybox, "cat passwd; cat group | head -n 1", dir=source, workdir="/etc"))
    assert result.stdout == b"from the hostroot:x:0:\n"


async def test_an_empty_folder_is_fine(run: Run, busybox: str, source: Path) -> None:
    result = await run(shell(busybox, LISTING, dir=source))
    assert (result.stdout, result.exit_code) == (b"", 0)


async def test_what_nobody_wants_stays_behind(runner: DockerRunner, busybox: str, source: Path) -> None:
    lay_out(source, {f"{name}/file": "x" for name in UNWANTED})
    lay_out(source, {f"deep/er/{name}/file": "x" for name in UNWANTED})
    lay_out(source, {"worktree/.git": "gitdir: elsewhere", "my env/pyvenv.cfg": "x", "my env/lib/file": "x"})
    # Only folders are meant by most of the names, and a virtual environment only by its marker.
    lay_out(source, {"deep/build": "a script"} | {"kept/dist": "a file", "environment/file": "x", "pyvenv.cfg": "x"})
    result = await runner.run(shell(busybox, LISTING, dir=source))
    kept = {"deep", "deep/er", "deep/build", "worktree", "kept", "kept/dist", "environment", "environment/file"}
    assert listed(result.stdout) == kept | {"pyvenv.cfg"}


@pytest.mark.parametrize(
    ("ignore", "left"),
    [
        (["*.log"], {"a.txt", "logs", "logs/b.txt", "data", "data/logs", "data/c.txt"}),
        (["logs"], {"a.txt", "a.log", "data", "data/c.txt"}),
        (["logs/"], {"a.txt", "a.log", "data", "data/logs", "data/c.txt"}),
        (["data/logs", "logs/?.txt"], {"a.txt", "a.log", "logs", "logs/b.log", "data", "data/c.txt"}),
        (["/a.*", "./data"], {"logs", "logs/b.log", "logs/b.txt"}),
        (["[ad]*"], {"logs", "logs/b.log", "logs/b.txt"}),
    ],
)
async def test_ignore_adds_names_and_patterns(
    runner: DockerRunner, busybox: str, source: Path, ignore: list[str], left: set[str]
) -> None:
    lay_out(source, dict.fromkeys(["a.txt", "a.log", "logs/b.log", "logs/b.txt", "data/logs", "data/c.txt"], "x"))
    result = await runner.run(shell(busybox, LISTING, dir=source, ignore=ignore))
    assert listed(result.stdout) == left


async def test_links_sockets_pipes_and_devices_stay_behind(
    runner: DockerRunner, busybox: str, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(source, {"file": "x", "folder/": "", "outside/../../secret": "secret"})
    (source / "link").symlink_to("file")
    (source / "folder link").symlink_to("folder")
    (source / "link to the outside").symlink_to(source.parent / "secret")
    (source / "dangling").symlink_to("nowhere")
    os.mkfifo(source / "pipe")
    os.mknod(source / "device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(source)
        listener.bind("socket")  # A socket's path may have 107 bytes, and the folder's alone may be longer.
        result = await runner.run(shell(busybox, LISTING, dir=source))
    assert listed(result.stdout) == {"file", "folder", "outside"}


async def test_the_folder_itself_may_be_a_link(runner: DockerRunner, busybox: str, source: Path) -> None:
    lay_out(source, {"file": "x"})
    link = source.parent / "link"
    link.symlink_to("source")
    assert listed((await runner.run(shell(busybox, LISTING, dir=link))).stdout) == {"file"}


async def test_everybody_may_read_and_write_and_enter_what_arrives(
    runner: DockerRunner, busybox: str, source: Path
) -> None:
    modes = {"secret": 0o600, "script": 0o700, "setuid": 0o4755, "none": 0o000, "folder/file": 0o640}
    lay_out(source, dict.fromkeys(modes, "x"))
    for name, mode in modes.items():
        (source / name).chmod(mode)
    (source / "folder").chmod(0o2700)
    os.chown(source / "secret", 1234, 5678)
    result = await runner.run(shell(busybox, f"{LOOKS} | sort", dir=source))
    assert result.stdout is not None
    assert set(result.stdout.decode().splitlines()) == {
        "666 0:0 regular file ./secret",
        "777 0:0 regular file ./script",
        "777 0:0 regular file ./setuid",
        "666 0:0 regular file ./none",
        "777 0:0 directory ./folder",
        "666 0:0 regular file ./folder/file",
    }


async def test_times_are_kept(runner: DockerRunner, busybox: str, source: Path) -> None:
    lay_out(source, {"old": "x", "ancient": "x"})
    os.utime(source / "old", (1, 1_234_567_890))
    os.utime(source / "ancient", (1, -86_400))
    result = await runner.run(shell(busybox, "stat -c '%Y %n' old ancient", dir=source))
    assert result.stdout == b"1234567890 old\n0 ancient\n", "the daemon knows no time before 1970"


async def test_names_arrive_as_they_are(run: Run, busybox: str, source: Path) -> None:
    names = {
        "bytes that are not UTF-8 \udcff\udc80",
        "grüße ✓ 🐋",
        "e\u0301 is not é",
        "  blanks  ",
        "new\nline",
        "-rf",
        "back\\slash*?[",
        "n" * 255,
        "ü" * 127,
        f"{'f' * 99}",
        f"{'f' * 100}",
        f"{'f' * 101}",
    }
    lay_out(source, dict.fromkeys(names, "x"))
    deep = "/".join(["d" * 120, "e" * 120, "\udcfe" * 120, "f" * 200])
    lay_out(source, {deep: "x"})
    result = await run(shell(busybox, LISTING, dir=source))
    assert listed(result.stdout) == names | {deep} | {str(parent) for parent in Path(deep).parents} - {"."}


@pytest.fixture
def deep_source(source: Path) -> Iterator[Path]:
    bottom = source / "/".join("d" * 1500)
    subprocess.run(["mkdir", "-p", bottom], check=True)
    (bottom / "file").write_text("x")
    yield source
    subprocess.run(["rm", "-rf", source], check=True)  # Python's own way would take a frame for each level.


async def test_a_tree_of_1500_levels_arrives(runner: DockerRunner, busybox: str, deep_source: Path) -> None:
    result = await runner.run(shell(busybox, "find . -type d | wc -l; find . -name file | wc -c", dir=deep_source))
    assert result.stdout == b"1501\n3007\n"


async def test_3000_files_arrive(runner: DockerRunner, busybox: str, source: Path) -> None:
    lay_out(source, {f"{number % 30}/{number}": f"content {number}" for number in range(3000)})
    script = "find . -type f | wc -l; find . -type f | sort | xargs cat | sha256sum"
    result = await runner.run(shell(busybox, script, dir=source))
    whole = b"".join(
        (source / name).read_bytes() for name in sorted(f"{number % 30}/{number}" for number in range(3000))
    )
    assert result.stdout == f"3000\n{hashlib.sha256(whole).hexdigest()}  -\n".encode()
