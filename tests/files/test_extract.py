"""`extract`: which files are copied out, where they land, and what the result says."""

import hashlib
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, ExtractResult, ExtractSpec, RunResult
from tests.runs.host_folders import files, lay_out, names
from tests.runs.shell_runs import Run, shell

MAKE_TREE = "mkdir -p out/sub out/none && echo a > out/a && echo b > out/sub/b && cp out/a result.json;"

ROUND_TRIP = """
import hashlib, sys, trio
from pathlib import Path
from lightrunner import DockerRunner, ExtractSpec, RunRequest

async def main(host, image, source, target):
    async with DockerRunner(host=host) as runner:
        extract = [ExtractSpec("copy", target)]
        request = RunRequest(image=image, entrypoint="mv large copy", dir=source, extract=extract, network="none")
        print((await runner.run(request)).check().extracted[0].bytes)

trio.run(main, *sys.argv[1:])
print([line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")][0])
"""


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "to"


def only(result: RunResult) -> ExtractResult:
    """The result of the one entry that was asked for."""
    assert result.extracted is not None
    (entry,) = result.extracted
    return entry


def statuses(result: RunResult) -> dict[str, str]:
    """The status of each entry by its `from_`."""
    assert result.extracted is not None
    return {entry.from_: entry.status for entry in result.extracted}


async def test_a_file_lands_under_its_own_name(run: Run, busybox: str, to: Path) -> None:
    result = await run(shell(busybox, MAKE_TREE, extract=[ExtractSpec("/app/result.json", to)]))
    assert files(to) == {"result.json": "a\n"}
    assert only(result) == ExtractResult(from_="/app/result.json", to=to, status="ok", bytes=2048)


@pytest.mark.parametrize("source", ["/app/out", "/app/out/", "//app/./out//", "out", "./out/"])
async def test_the_contents_of_a_folder_land_directly(
    runner: DockerRunner, busybox: str, to: Path, source: str
) -> None:
    result = await runner.run(shell(busybox, MAKE_TREE, extract=[ExtractSpec(source, str(to))]))
    assert only(result).status == "ok"
    assert files(to) == {"a": "a\n", "sub/b": "b\n"}
    assert (to / "none").is_dir()


async def test_any_place_in_the_container_will_do(runner: DockerRunner, busybox: str, to: Path) -> None:
    script = "echo x > /tmp/x; mkdir -p /somewhere/else; echo y > /somewhere/else/y"
    extract = [ExtractSpec("/tmp/x", to), ExtractSpec("/somewhere", to), ExtractSpec("/etc/group", to)]  # noqa: S108
    result = await runner.run(shell(busybox, script, extract=extract))
    assert set(statuses(result).values()) == {"ok"}
    assert files(to).keys() == {"x", "else/y", "group"}


async def test_what_is_not_there_is_missing(runner: DockerRunner, busybox: str, tmp_path: Path) -> None:
    sources = [
        "/app/nope",
        "nope/deeper",
        "/etc/passwd/below",  # A file where a folder would have to be.
        "/proc/self/status",  # What is mounted while it runs is gone when it has exited.
        "/sys/kernel",
        "/dev/null",
    ]
    extract = [ExtractSpec(source, tmp_path / "to" / source.replace("/", "_")) for source in sources]
    result = await runner.run(shell(busybox, "true", extract=extract))
    assert result.success
    assert statuses(result) == dict.fromkeys(sources, "missing")
    assert names(tmp_path) == set()


@pytest.mark.needs("links")
async def test_a_link_or_a_pipe_is_an_error(runner: DockerRunner, busybox: str, to: Path) -> None:
    script = "echo x > file; mkdir folder; ln -s file link; ln -s folder to-folder; ln -s /no/where lost; mkfifo pipe"
    sources = {"link": "symbolic link", "to-folder": "symbolic link", "lost": "symbolic link", "pipe": "pipe"}
    extract = [ExtractSpec(source, to) for source in sources]
    result = await runner.run(shell(busybox, script, extract=extract))
    assert result.success
    assert result.extracted is not None
    assert {entry.from_: entry.error for entry in result.extracted} == {
        source: f"the path is a {kind}; only files and folders can be extracted" for source, kind in sources.items()
    }
    assert names(to.parent) == set()


async def test_a_file_behind_a_link_to_a_folder_is_found(runner: DockerRunner, busybox: str, to: Path) -> None:
    script = "mkdir real; echo x > real/file; ln -s real link"
    await runner.run(shell(busybox, script, extract=[ExtractSpec("link/file", to)]))
    assert files(to) == {"file": "x\n"}


async def test_links_are_skipped_and_hard_links_copied(runner: DockerRunner, busybox: str, to: Path) -> None:
    script = """
        mkdir out; cd out; echo same > first; ln first second; mkdir sub; ln first sub/third
        ln -s first soft; ln -s /etc/passwd outside; ln -s . loop; mkfifo pipe
    """
    entry = only(await runner.run(shell(busybox, script, extract=[ExtractSpec("out", to)])))
    assert (entry.status, entry.skipped) == ("ok", 4)
    assert files(to) == dict.fromkeys(["first", "second", "sub/third"], "same\n")
    assert {(to / name).stat().st_nlink for name in files(to)} == {1}


async def test_permissions_and_times_are_kept_and_setuid_is_not(runner: DockerRunner, busybox: str, to: Path) -> None:
    script = """
        mkdir -m 750 out out/d; cd out; for mode in 4755 2755 1755 600 755 000; do echo $mode > $mode; done
        for mode in *; do [ -f $mode ] && chmod $mode $mode; done; chown 1000:1000 600; touch -d @1234567890 600
    """
    await runner.run(shell(busybox, script, extract=[ExtractSpec("out", to)]))
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in map(to.joinpath, names(to))}
    setuid = {"4755": "0o755", "2755": "0o755", "1755": "0o755"}
    assert modes == setuid | {"600": "0o600", "755": "0o755", "000": "0o600", "d": "0o750"}
    assert (to / "600").stat().st_mtime == 1_234_567_890
    assert (to / "600").stat().st_uid == (to / "755").stat().st_uid, "owners are the host's business"


async def test_names_arrive_as_they_are(runner: DockerRunner, busybox: str, to: Path) -> None:
    odd = {"\udcff\udc80", "grüße ✓", "new\nline", "-rf", "back\\slash*?[", "n" * 255, "ü" * 127, "  ", "..."}
    source = lay_out(to.parent / "source", {f"out/{'d' * 120}/{name}": "x" for name in odd})
    await runner.run(shell(busybox, "true", dir=source, extract=[ExtractSpec("out", to)]))
    assert files(to).keys() == {f"{'d' * 120}/{name}" for name in odd}


async def test_it_merges_into_what_is_there(runner: DockerRunner, busybox: str, to: Path) -> None:
    lay_out(to, {"a": "old", "kept": "kept", "sub/kept": "kept"})
    await runner.run(shell(busybox, MAKE_TREE, extract=[ExtractSpec("out", to)]))
    assert files(to) == {"a": "a\n", "kept": "kept", "sub/b": "b\n", "sub/kept": "kept"}


async def test_several_entries_may_share_a_target(runner: DockerRunner, busybox: str, to: Path) -> None:
    script = f"{MAKE_TREE} mkdir -p more/sub; echo c > more/sub/c"
    sources = ["out", "result.json", "more", "nope", "/etc/passwd"]
    result = await runner.run(shell(busybox, script, extract=[ExtractSpec(source, to) for source in sources]))
    assert statuses(result) == dict.fromkeys(sources, "ok") | {"nope": "missing"}
    assert files(to).keys() == {"a", "sub/b", "sub/c", "result.json", "passwd"}


async def test_several_runs_may_share_a_target(runner: DockerRunner, busybox: str, to: Path) -> None:
    results: list[RunResult] = []

    async def one(number: int) -> None:
        script = f"mkdir -p out/sub; echo {number} > out/sub/{number}; echo {number} > out/same"
        extract = [ExtractSpec("out", to / "deep" / "er"), ExtractSpec("out/same", to / "deep")]
        results.append(await runner.run(shell(busybox, script, extract=extract)))

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(one, number)
    assert [list(statuses(result).values()) for result in results] == [["ok", "ok"]] * 6
    assert files(to / "deep" / "er" / "sub") == {str(number): f"{number}\n" for number in range(6)}
    assert files(to).keys() == {"deep/same", "deep/er/same", *(f"deep/er/sub/{number}" for number in range(6))}


@pytest.mark.parametrize(("script", "seconds"), [("exit 1", 60), ("sleep 60", 0.5)])
async def test_only_a_success_is_extracted(run: Run, busybox: str, to: Path, script: str, seconds: float) -> None:
    result = await run(shell(busybox, MAKE_TREE + script, timeout=seconds, extract=[ExtractSpec("out", to)]))
    assert result.extracted is None
    assert names(to.parent) == set()


async def test_without_an_entry_there_is_no_result_of_one(run: Run, busybox: str) -> None:
    assert (await run(shell(busybox, "true"))).extracted is None


async def test_3000_files_come_out(runner: DockerRunner, busybox: str, to: Path) -> None:
    script = "mkdir out; cd out; for i in $(seq 3000); do echo content $i > $i; done"
    assert only(await runner.run(shell(busybox, script, extract=[ExtractSpec("out", to)]))).status == "ok"
    assert files(to) == {str(number): f"content {number}\n" for number in range(1, 3001)}


def test_200_mb_go_in_and_come_out_in_bounded_memory(
    engine_host: str, busybox: str, daemon_clean: object, tmp_path: Path
) -> None:
    assert daemon_clean
    block = hashlib.sha256(b"seed").digest() * 32768
    with (lay_out(tmp_path / "source", {}) / "large").open("wb") as large:
        for number in range(200):
            large.write(number.to_bytes(4) + block[4:])
    # A process of its own, since this one's memory has seen other tests.
    arguments = [engine_host, busybox, str(tmp_path / "source"), str(tmp_path / "to")]
    done = subprocess.run([sys.executable, "-c", ROUND_TRIP, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    archive_bytes, peak_kib = map(int, done.stdout.split())
    assert archive_bytes > 200 * len(block)
    assert peak_kib < 80 * 1024
    with (tmp_path / "source" / "large").open("rb") as sent, (tmp_path / "to" / "copy").open("rb") as came:
        assert hashlib.file_digest(sent, "sha256").digest() == hashlib.file_digest(came, "sha256").digest()
