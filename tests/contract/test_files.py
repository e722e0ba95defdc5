"""The contract: folders in, files out, and archives that mean harm."""

from pathlib import Path

import pytest

from lightrunner import DockerRunner, ExtractResult, ExtractSpec
from lightrunner.testing import FakeContainer
from tests.contract.places import Place
from tests.contract.programs import nothing, writes
from tests.runs.shell_runs import Run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with files, and one that is always left out."""
    folder = tmp_path / "source"
    (folder / "sub").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "main.txt").write_bytes(b"main")
    (folder / "sub" / "däta.txt").write_bytes(b"data")
    (folder / ".git" / "config").write_bytes(b"secret")
    return folder


def names(folder: Path) -> list[str]:
    """What is in a folder on the host."""
    return sorted(path.name for path in folder.iterdir())


async def tell_files(container: FakeContainer) -> None:
    names = [".", "./main.txt", "./sub"] if container.files.names() == ["main.txt", "sub"] else ["?"]
    files = [f"./sub/{name}" for name in container.files.names("sub")]
    await container.stdout("\n".join([*names, *files]).encode() + b"\n" + container.files.read("main.txt"))


async def test_a_folder_is_seeded(place: Place, run: Run, source: Path) -> None:
    request = place.request("find . | sort; cat main.txt", tell_files, dir=str(source), capture_output=True)
    result = await run(request)
    assert result.stdout is not None
    assert result.stdout.decode() == ".\n./main.txt\n./sub\n./sub/däta.txt\nmain"


async def test_ignored_files_are_not(place: Place, run: Run, source: Path) -> None:
    async def tell(container: FakeContainer) -> None:
        await container.stdout(" ".join(container.files.names()).encode())

    request = place.request("printf '%s' *", tell, dir=str(source), ignore=["sub"], capture_output=True)
    assert (await run(request)).stdout == b"main.txt"


async def test_a_file_and_a_folder_are_extracted(place: Place, run: Run, tmp_path: Path) -> None:
    files = {"result.json": b"{}", "out/a": b"A", "out/b/c": b"C"}
    text = "mkdir -p out/b; printf '{}' >result.json; printf A >out/a; printf C >out/b/c"
    entries = [ExtractSpec("/app/result.json", str(tmp_path)), ExtractSpec("out", tmp_path / "folder")]
    result = await run(place.request(text, writes(files), extract=entries))
    assert result.extracted is not None
    assert [entry.status for entry in result.extracted] == ["ok", "ok"]
    assert (tmp_path / "result.json").read_bytes() == b"{}"
    assert (tmp_path / "folder" / "a").read_bytes() == b"A"
    assert (tmp_path / "folder" / "b" / "c").read_bytes() == b"C"


async def test_what_was_seeded_can_be_extracted(place: Place, run: Run, source: Path, tmp_path: Path) -> None:
    entries = [ExtractSpec(".", str(tmp_path / "back"))]
    result = await run(place.request("true", nothing, dir=str(source), extract=entries))
    assert result.success
    assert names(tmp_path / "back") == ["main.txt", "sub"]
    assert (tmp_path / "back" / "sub" / "däta.txt").read_bytes() == b"data"


async def test_what_is_missing_fails_no_run(place: Place, run: Run, tmp_path: Path) -> None:
    entries = [ExtractSpec("/no/such", tmp_path / "a"), ExtractSpec("/proc/1", tmp_path / "b")]
    result = await run(place.request("true", nothing, extract=entries))
    assert result.success
    assert result.extracted == tuple(ExtractResult(from_=it.from_, to=it.to, status="missing") for it in entries)
    assert names(tmp_path) == []


async def test_a_failed_run_extracts_nothing(place: Place, run: Run, tmp_path: Path) -> None:
    async def fail(container: FakeContainer) -> int:
        container.files.write("result", b"x")
        return 4

    request = place.request("echo x >result; exit 4", fail, extract=[ExtractSpec("result", str(tmp_path))])
    assert (await run(request)).extracted is None
    assert names(tmp_path) == []


@pytest.mark.needs("links")
async def test_links_are_not_followed_out_of_the_target(place: Place, run: Run, tmp_path: Path) -> None:
    async def plant(container: FakeContainer) -> None:
        container.files.write("out/good", b"good")
        container.files.symlink("/etc/passwd", "out/absolute")
        container.files.symlink("../../..", "out/up")
        container.files.symlink("/etc/passwd", "single")

    text = (
        "mkdir out; printf good >out/good; ln -s /etc/passwd out/absolute; ln -s ../../.. out/up;"
        " ln -s /etc/passwd single"
    )
    entries = [ExtractSpec("out", tmp_path / "out"), ExtractSpec("single", tmp_path / "single")]
    result = await run(place.request(text, plant, extract=entries))
    assert result.extracted is not None
    folder, single = result.extracted
    assert (folder.status, folder.skipped) == ("ok", 2)
    assert names(tmp_path / "out") == ["good"]
    assert single.status == "error"
    assert not (tmp_path / "single").exists()


async def test_a_target_that_is_a_link_out_of_it_is_refused(place: Place, run: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "sub").symlink_to(tmp_path / "elsewhere")
    request = place.request(
        "mkdir -p out/sub; echo x >out/sub/file",
        writes({"out/sub/file": b"x\n"}),
        extract=[ExtractSpec("out", str(tmp_path / "to"))],
    )
    result = await run(request)
    assert result.extracted is not None
    assert result.extracted[0].status == "error"
    assert names(tmp_path / "elsewhere") == []


async def test_an_archive_over_the_limit_leaves_nothing(place: Place, tmp_path: Path) -> None:
    async def grow(container: FakeContainer) -> None:
        container.files.write("big", bytes(3_000_000))

    request = place.request("head -c 3000000 /dev/zero >big", grow, extract=[ExtractSpec("big", str(tmp_path / "to"))])
    async with place.runner(max_extract_bytes=1_000_000) as runner:
        result = await runner.run(request)
    assert result.extracted is not None
    assert (result.success, result.extracted[0].status) == (True, "error")
    assert not (tmp_path / "to").exists() or names(tmp_path / "to") == []


async def test_hard_links_arrive_as_files(place: Place, runner: DockerRunner, tmp_path: Path) -> None:
    async def link(container: FakeContainer) -> None:
        container.files.write("out/a", b"same")
        container.files.link("out/a", "out/b")

    request = place.request(
        "mkdir out; printf same >out/a; ln out/a out/b", link, extract=[ExtractSpec("out", str(tmp_path))]
    )
    assert (await runner.run(request)).success
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == b"same"
    assert not (tmp_path / "b").samefile(tmp_path / "a")
