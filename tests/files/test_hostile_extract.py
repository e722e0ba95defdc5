"""Extracts that mean harm: trees that a container writes, and archives that only a forged daemon can send.

Beside the target lies a folder that nothing may touch. A failed entry leaves the target as it was.
"""

from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, ExtractResult, ExtractSpec, RunRequest
from lightrunner.testing import Answer, Request, archive, plain, raw
from lightrunner.testing.http import head, path_stat
from tests.fake_daemon import fake_daemon
from tests.files.archives import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    END,
    FILE,
    FOLDER,
    HARD_LINK,
    PIPE,
    SYMLINK,
    Entry,
    picture,
)
from tests.files.archives import archive as tar
from tests.files.test_extract import only
from tests.runs.host_folders import lay_out, names, wait_until
from tests.runs.shell_runs import shell, start

ROOT = Entry("out", FOLDER)
CHUNKED_HEAD = head(200, {"Transfer-Encoding": "chunked"} | dict(path_stat()))
VALID = tar(ROOT, Entry("out/a", content=bytes(1000)), Entry("out/b", content=b"b"))

HARMFUL = {
    "a parent in a name": tar(ROOT, Entry("out/../../outside/new", content=b"x")),
    "a parent as the first name": tar(Entry("../outside/new", content=b"x")),
    "an absolute name": tar(ROOT, Entry("/etc/lightrunner-was-here", content=b"x")),
    "a parent in a link's target": tar(ROOT, Entry("out/link", HARD_LINK, link="out/../../outside/canary")),
    "an absolute link": tar(ROOT, Entry("out/link", HARD_LINK, link="/etc/passwd")),
    "a device for an entry": tar(Entry("out", CHARACTER_DEVICE)),
    "a hard link for an entry": tar(Entry("out", HARD_LINK, link="/etc/passwd")),
    "a file where a folder was": tar(ROOT, Entry("out/x", FOLDER), Entry("out/x", content=b"x")),
    "a folder where a file was": tar(ROOT, Entry("out/x", content=b"x"), Entry("out/x/y", content=b"y")),
    "a second entry": tar(Entry("out", FILE, b"x"), Entry("passwd", content=b"x")),
    "a folder that waits as a link": tar(ROOT, Entry("out/waiting", FOLDER), Entry("out/waiting/new", content=b"x")),
    "10,000 folders in a name": tar(ROOT, Entry("out/" + "d/" * 10_000 + "file", content=b"x")),
    "a size below what comes": ROOT.block() + Entry("out/a", content=b"x" * 2000, size=600).block() + END,
    "a size above what comes": ROOT.block() + Entry("out/a", content=b"x", size=10**12).block() + END,
    "a negative size": ROOT.block() + Entry("out/a", size=-1).block() + END,
    "a wrong checksum": ROOT.block() + Entry("out/a").block().replace(b"out/a", b"out/z") + END,
    "an unknown kind": tar(ROOT, Entry("out/a", b"Z")),
    "a sparse file": tar(ROOT, Entry("out/a", b"S")),
    "no end": VALID[: -len(END)],
    "an end within a content": VALID[:2000],
    "an end within a header": VALID[:700],
    "no tar at all": b"<html>proxy error</html>" * 100,
    "compressed": b"\x1f\x8b\x08" + bytes(range(256)) * 8,
}

HARMLESS = {
    "links and devices": (
        tar(
            ROOT,
            Entry("out/symlink", SYMLINK, link="../outside"),
            Entry("out/hard", HARD_LINK, link="out/symlink"),
            Entry("out/disk", BLOCK_DEVICE),
            Entry("out/pipe", PIPE),
            Entry("out/file", content=b"x"),
        ),
        {"file"},
    ),
    "a file through a link of its own": (
        tar(ROOT, Entry("out/evil", SYMLINK, link="../outside"), Entry("out/evil/new", content=b"x")),
        {"evil", "evil/new"},
    ),
    "a link in the place of a file of its own": (
        tar(ROOT, Entry("out/file", content=b"x"), Entry("out/file", SYMLINK, link="../outside/canary")),
        {"file"},
    ),
    "setuid for everybody": (tar(ROOT, Entry("out/file", content=b"x", mode=0o6777)), {"file"}),
    "a file where a link waits": (tar(ROOT, Entry("out/waiting", content=b"x")), set[str]()),
    "an entry of another name": (tar(Entry("../../../etc/passwd".replace("../", ""), content=b"x")), {"passwd"}),
}


@pytest.fixture
def to(tmp_path: Path) -> Path:
    """A target with a file, and with a link to the folder that nothing may touch."""
    lay_out(tmp_path, {"outside/canary": "untouched", "to/kept": "kept"})
    (tmp_path / "to" / "waiting").symlink_to("../outside")
    return tmp_path / "to"


async def extract_forged(answer: Answer, to: Path, source: str = "/out") -> ExtractResult:
    """Run on a daemon that answers so when it is asked for the archive."""
    async with (
        fake_daemon({"container_archive": answer}) as daemon,
        DockerRunner(host=daemon.host, max_extract_bytes=1_000_000) as runner,
    ):
        result = await runner.run(RunRequest(image="fake:1", network="none", extract=[ExtractSpec(source, to)]))
        assert result.success, "an entry never fails the run"
        assert daemon.requests("container_delete")
        return only(result)


def in_parts(data: bytes, size: int) -> Answer:
    return archive(*(data[at : at + size] for at in range(0, len(data), size)))


@pytest.mark.parametrize("size", [100, 1 << 20])
@pytest.mark.parametrize("name", HARMFUL)
async def test_a_forged_archive_that_means_harm_is_an_error(to: Path, name: str, size: int) -> None:
    before = picture(to.parent)
    entry = await extract_forged(in_parts(HARMFUL[name], size), to)
    assert (entry.status, bool(entry.error)) == ("error", True)
    assert picture(to.parent) == before


@pytest.mark.parametrize("name", HARMLESS)
async def test_what_cannot_be_made_is_left_out(to: Path, name: str) -> None:
    data, landed = HARMLESS[name]
    before = picture(to.parent)
    entry = await extract_forged(archive(data), to, source="/out/passwd" if landed == {"passwd"} else "/out")
    assert entry.status == "ok"
    after = picture(to.parent)
    assert after.keys() == before.keys() | {f"to/{path}" for path in landed}
    # A link that waited may have been replaced; what it points to is as it was.
    assert {path: after[path] for path in before if path not in {"to", "to/waiting"}}.items() <= before.items()
    assert not any("s" in look.split()[0] for look in after.values())


@pytest.mark.parametrize(
    "answer",
    [
        raw(CHUNKED_HEAD, b"%x\r\n%b\r\n" % (len(VALID) - 512, VALID[:-512])),
        raw(CHUNKED_HEAD, b"%x\r\n%b" % (len(VALID), VALID[:1500])),
        archive(VALID[:1500], cut=True),
        plain(VALID),
        plain(VALID, headers={"X-Docker-Container-Path-Stat": "garbage"}),
        plain(b'{"message":"out of order"}', status=500),
        plain(b"<html>", status=502, headers=path_stat()),
    ],
    ids=["half an end mark", "cut within a chunk", "cut within", "no stat", "no JSON in the stat", "500", "502"],
)
async def test_an_answer_that_is_none_is_an_error(to: Path, answer: Answer) -> None:
    before = picture(to.parent)
    entry = await extract_forged(answer, to)
    assert (entry.status, bool(entry.error)) == ("error", True)
    assert picture(to.parent) == before


@pytest.mark.parametrize("hangs_up", [True, False])
async def test_the_end_of_an_answer_is_not_waited_for(to: Path, *, hangs_up: bool) -> None:
    async def answer(request: Request) -> None:
        await request.receive_body()
        await request.send(CHUNKED_HEAD)
        await request.send(b"%x\r\n%b" % (len(VALID), VALID))
        request.hang_up = hangs_up
        if not hangs_up:
            await trio.sleep_forever()

    with trio.fail_after(10):
        entry = await extract_forged(answer, to)
    assert (entry.status, entry.bytes) == ("ok", len(VALID))
    assert names(to) == {"a", "b", "kept", "waiting"}


async def test_an_archive_without_end_meets_the_cap(to: Path) -> None:
    async def endless(request: Request) -> None:
        await request.receive_body()
        await request.send(CHUNKED_HEAD)
        await request.send(b"%x\r\n%b\r\n" % (512, Entry("out", size=2**40).block()))
        while True:
            await request.send(b"%x\r\n%b\r\n" % (65536, bytes(65536)))

    before = picture(to.parent)
    entry = await extract_forged(endless, to)
    assert entry.error == "the archive has more than 1000000 bytes (max_extract_bytes)"
    assert picture(to.parent) == before


async def test_an_archive_that_stalls_can_be_cancelled(to: Path) -> None:
    async def stall(request: Request) -> None:
        await request.receive_body()
        await request.send(CHUNKED_HEAD)
        await request.send(b"%x\r\n%b\r\n" % (1500, VALID[:1500]))
        await trio.sleep_forever()

    before = picture(to.parent)
    extract = [ExtractSpec("/out", to)]
    async with (
        fake_daemon({"container_archive": stall}) as daemon,
        DockerRunner(host=daemon.host) as runner,
        trio.open_nursery() as nursery,
    ):
        execution = await start(nursery, runner, RunRequest(image="fake:1", network="none", extract=extract))
        await wait_until(lambda: len(names(to)) == 3)
        execution.cancel()
        result = await execution.wait()
    assert (result.cancelled, result.success, result.extracted) == (True, False, None)
    assert picture(to.parent) == before


# --- trees that a container writes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [300, 10_000])
async def test_a_tree_too_deep_is_an_error(runner: DockerRunner, python_image: str, to: Path, levels: int) -> None:
    before = picture(to.parent)
    script = f"import os\nos.mkdir('out')\nos.chdir('out')\nfor _ in range({levels}): os.mkdir('d'); os.chdir('d')"
    request = shell(python_image, f'python -c "{script}"', extract=[ExtractSpec("out", to)])
    result = await runner.run(request)
    assert result.success
    assert only(result).status == "error"
    assert picture(to.parent) == before


async def test_links_of_a_container_lead_nowhere(runner: DockerRunner, busybox: str, to: Path) -> None:
    outside = to.parent / "outside"
    script = f"""
        mkdir -p out/sub; cd out; ln -s {outside} evil; ln -s {outside}/canary canary; ln canary again
        ln -s ../../../../../../..{outside} sub/up; echo x > file; ln file sub/copy
    """
    before = picture(outside)
    entry = only(await runner.run(shell(busybox, script, extract=[ExtractSpec("out", to)])))
    assert (entry.status, entry.skipped) == ("ok", 4)
    assert picture(to).keys() == {"kept", "waiting", "file", "sub", "sub/copy"}
    assert picture(outside) == before


@pytest.mark.parametrize(
    ("script", "status"),
    [("mkdir -p out/waiting; echo x > out/waiting/canary", "error"), ("mkdir out; echo x > out/waiting", "ok")],
)
async def test_a_link_that_waits_in_the_target_is_not_followed(
    runner: DockerRunner, busybox: str, to: Path, script: str, status: str
) -> None:
    before = picture(to.parent / "outside")
    entry = only(await runner.run(shell(busybox, script, extract=[ExtractSpec("out", to)])))
    assert entry.status == status
    assert (to / "waiting").is_symlink() is (status == "error")
    assert picture(to.parent / "outside") == before


async def test_a_process_that_fills_its_disk_with_names_is_bounded_by_the_cap(
    engine_host: str, busybox: str, daemon_clean: object, to: Path
) -> None:
    assert daemon_clean
    before = picture(to.parent)
    async with DockerRunner(host=engine_host, max_extract_bytes=100_000) as runner:
        script = "mkdir out; cd out; for i in $(seq 1000); do : > $i; done"
        entry = only(await runner.run(shell(busybox, script, extract=[ExtractSpec("out", to)])))
    assert (entry.status, entry.error) == ("error", "the archive has more than 100000 bytes (max_extract_bytes)")
    assert picture(to.parent) == before
