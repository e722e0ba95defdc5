"""Archives into and out of created, running and exited containers, with all kinds of file names."""

import gc
from collections.abc import AsyncIterator
from contextlib import nullcontext

import pytest

from lightrunner.engine import EngineClient, EngineNotFound, EngineResponseError, EngineUnreachable
from tests.engine.containers import created, get_files, running, tar_of, wait_exit

NAMES = ["plain", "two words", "100%", "%2e%2e%2f", "a&b=c?d#e", "ünïcödé ☃", "plus+plus", "new\nline"]
NOT_UTF8 = "\udcff\udcfe"
"""Two bytes that are no UTF-8, as Python writes them."""
FOLDER = "/home/app"


async def test_files_survive_the_round_trip_under_any_name(client: EngineClient, busybox: str) -> None:
    files = {name: name.encode(errors="surrogateescape") * 3 for name in [*NAMES, NOT_UTF8]}
    async with created(client, busybox, "true") as container:
        await client.put_container_archive(container, FOLDER, tar_of(files))
        assert await get_files(client, container, f"{FOLDER}/.") == {
            f"./{name}": content for name, content in files.items()
        }
        for name in NAMES:
            assert await get_files(client, container, f"{FOLDER}/{name}") == {name: files[name]}
        for name, content in files.items():
            stat = await client.container_archive_info(container, f"{FOLDER}/{name}")
            assert (stat.size, stat.is_dir) == (len(content), False)


async def test_a_folder_with_an_odd_name_is_a_destination(client: EngineClient, busybox: str) -> None:
    async with created(client, busybox, "sh", "-c", "cat '/home/app/50% off/é/file'") as container:
        await client.put_container_archive(container, FOLDER, tar_of({"50% off/é/first": b""}))
        await client.put_container_archive(container, "/home/app/50% off/é", tar_of({"file": b"found"}))
        await client.container_start(container)
        assert await wait_exit(client, container) == 0


async def test_an_archive_goes_in_chunk_by_chunk(client: EngineClient, busybox: str) -> None:
    archive = tar_of({"big": b"x" * 3_000_001})

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(archive), 65_537):
            yield archive[start : start + 65_537]

    async with created(client, busybox, "true") as container:
        await client.put_container_archive(container, "/", chunks())
        assert await get_files(client, container, "/big") == {"big": b"x" * 3_000_001}


async def test_running_and_exited_containers_have_archives_too(client: EngineClient, busybox: str) -> None:
    async with running(client, busybox, "sh", "-c", "while [ ! -e /go ]; do sleep 0.05; done; cp /go /gone") as alive:
        await client.put_container_archive(alive, "/", tar_of({"go": b"now"}))
        assert await get_files(client, alive, "/go") == {"go": b"now"}
        assert await wait_exit(client, alive) == 0
        assert await get_files(client, alive, "/gone") == {"gone": b"now"}


async def test_the_stat_tells_folders_and_links(client: EngineClient, busybox: str) -> None:
    async with created(client, busybox, "true") as container:
        folder = await client.container_archive_info(container, FOLDER)
        assert (folder.name, folder.is_dir, folder.is_symlink, folder.mode & 0o777) == ("app", True, False, 0o755)
        link = await client.container_archive_info(container, "/bin/sh")
        assert (link.name, link.is_dir, link.is_symlink, link.link_target) == ("sh", False, True, "/bin/busybox")
        async with client.container_archive(container, "/bin/sh") as archive:
            assert archive.stat == link


@pytest.mark.parametrize("path", ["/none", "/home/app/none", f"/home/app/{NOT_UTF8}"])
async def test_a_path_that_is_not_there_is_not_found(client: EngineClient, busybox: str, path: str) -> None:
    async with created(client, busybox, "true") as container:
        with pytest.raises(EngineNotFound):
            await client.container_archive_info(container, path)
        with pytest.raises(EngineNotFound, match="Could not find the file"):
            async with client.container_archive(container, path):
                pass
        with pytest.raises(EngineNotFound):
            await client.put_container_archive(container, path, tar_of({}))


async def test_a_large_archive_for_a_folder_that_is_not_there_is_refused_early(
    client: EngineClient, busybox: str
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1 << 20
            yield bytes(1 << 20)

    async with created(client, busybox, "true") as container:
        with pytest.raises((EngineNotFound, EngineUnreachable)) as caught:
            await client.put_container_archive(container, "/none", endless())
        assert isinstance(caught.value, EngineNotFound), "the daemon's answer is read, though it no longer reads"
        assert sent < 64 << 20
        gc.collect()
        assert (await client.container_inspect(container)).state.status == "created"


async def test_what_is_no_tar_is_refused(client: EngineClient, busybox: str) -> None:
    async with created(client, busybox, "true") as container:
        with pytest.raises(EngineResponseError):
            await client.put_container_archive(container, "/", b"no tar at all " * 100)


@pytest.mark.parametrize("refused", [True, False])
async def test_a_file_in_the_place_of_a_folder(client: EngineClient, busybox: str, *, refused: bool) -> None:
    async with created(client, busybox, "true") as container:
        archive = tar_of({"app": b"a file"})
        refusal = pytest.raises(EngineResponseError, match="cannot overwrite directory") if refused else nullcontext()
        with refusal:
            await client.put_container_archive(container, "/home", archive, no_overwrite_dir_non_dir=refused)
        assert (await client.container_archive_info(container, FOLDER)).is_dir is refused
