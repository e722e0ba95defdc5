"""A container's stdin and output: attach, half-close, logs. Not one byte more or less."""

import hashlib
from contextlib import suppress

import pytest
import trio

from lightrunner.engine import EngineClient, EngineNotFound, EngineProtocolError, EngineUnreachable, OutputStream
from lightrunner.engine.wire import ContainerCreateRequest
from tests.engine.containers import created, read_all, run_to_exit, tar_of, wait_exit
from tools.raw_engine import RawEngine

FIRST_AND_LAST = "echo first; while [ ! -e /go ]; do sleep 0.05; done; echo last"
GO = tar_of({"go": b""})
INPUT = bytes(range(256)) * 4096
"""1 MiB of every byte: more than all the buffers between here and the container."""


async def read_first(stream: OutputStream) -> bytes:
    """The next piece of stdout."""
    (piece,) = await stream.receive()
    assert piece.stream == "stdout"
    return bytes(piece.data)


async def test_stdin_goes_in_whole_and_its_end_is_told(client: EngineClient, busybox: str) -> None:
    # sha256sum prints only after the end of its input.
    async with (
        created(client, busybox, "sha256sum", stdin=True) as container,
        client.container_attach(container, stdin=True) as attached,
    ):
        await client.container_start(container)
        await attached.send_all(INPUT)
        attached.send_eof()
        assert await read_all(attached) == {
            "stdout": f"{hashlib.sha256(INPUT).hexdigest()}  -\n".encode(),
            "stderr": b"",
        }
        assert await wait_exit(client, container) == 0


async def test_every_byte_comes_back_while_more_goes_in(client: EngineClient, busybox: str) -> None:
    # More than the pipes hold: one task has to read while the other one writes.
    async with (
        created(client, busybox, "tee", "/dev/stderr", stdin=True) as container,
        client.container_attach(container, stdin=True) as attached,
        trio.open_nursery() as nursery,
    ):

        async def feed() -> None:
            await attached.send_all(memoryview(INPUT))
            attached.send_eof()

        await client.container_start(container)
        nursery.start_soon(feed)
        assert await read_all(attached) == {"stdout": INPUT, "stderr": INPUT}


async def test_output_goes_on_after_the_half_close(client: EngineClient, busybox: str) -> None:
    script = "cat; for word in still here; do sleep 0.1; echo $word; echo $word >&2; done"
    async with (
        created(client, busybox, "sh", "-c", script, stdin=True) as container,
        client.container_attach(container, stdin=True) as attached,
    ):
        await client.container_start(container)
        attached.send_eof()
        assert await read_all(attached) == {"stdout": b"still\nhere\n", "stderr": b"still\nhere\n"}


async def test_a_container_that_closes_its_stdin_goes_on_writing(client: EngineClient, busybox: str) -> None:
    async with (
        created(client, busybox, "sh", "-c", "exec <&-; sleep 0.2; echo out", stdin=True) as container,
        client.container_attach(container, stdin=True) as attached,
        trio.open_nursery() as nursery,
    ):

        async def feed() -> None:
            with suppress(EngineUnreachable):  # Or the daemon just stops reading: which of both is chance.
                await attached.send_all(INPUT * 8)
                pytest.fail("8 MiB went nowhere")

        await client.container_start(container)
        nursery.start_soon(feed)
        assert await read_all(attached) == {"stdout": b"out\n", "stderr": b""}
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("stdout", "stderr"), [(True, False), (False, True)])
async def test_only_the_wanted_stream_comes(client: EngineClient, busybox: str, *, stdout: bool, stderr: bool) -> None:
    async with (
        created(client, busybox, "sh", "-c", "echo out; echo err >&2") as container,
        client.container_attach(container, stdout=stdout, stderr=stderr) as attached,
    ):
        await client.container_start(container)
        expected = {"stdout": b"out\n" if stdout else b"", "stderr": b"err\n" if stderr else b""}
        assert await read_all(attached) == expected
        assert await wait_exit(client, container) == 0
        async with client.container_logs(container, stdout=stdout, stderr=stderr) as logs:
            assert await read_all(logs) == expected


async def test_attaching_late_with_the_logs_misses_nothing(client: EngineClient, busybox: str) -> None:
    async with created(client, busybox, "sh", "-c", FIRST_AND_LAST) as container:
        await client.container_start(container)
        async with client.container_attach(container, logs=True) as attached:
            assert await read_first(attached) == b"first\n"
            await client.put_container_archive(container, "/", GO)
            assert await read_all(attached) == {"stdout": b"last\n", "stderr": b""}


async def test_logs_of_the_past(client: EngineClient, busybox: str) -> None:
    script = r"head -c 300000 /dev/zero | tr '\0' x; printf 'no newline' >&2"
    async with created(client, busybox, "sh", "-c", script) as container:
        await run_to_exit(client, container)
        async with client.container_logs(container) as logs:
            assert await read_all(logs) == {"stdout": b"x" * 300_000, "stderr": b"no newline"}


async def test_logs_follow_to_the_exit(client: EngineClient, busybox: str) -> None:
    async with created(client, busybox, "sh", "-c", FIRST_AND_LAST) as container:
        await client.container_start(container)
        async with client.container_logs(container, follow=True) as logs:
            assert await read_first(logs) == b"first\n"
            await client.put_container_archive(container, "/", GO)
            assert await read_all(logs) == {"stdout": b"last\n", "stderr": b""}


async def test_a_terminal_is_not_framed_and_is_told_apart(client: EngineClient, raw: RawEngine, busybox: str) -> None:
    body = ContainerCreateRequest(image=busybox, cmd=["echo", "hello"], tty=True)
    container = (await client.container_create(body)).id
    try:
        async with client.container_attach(container) as attached:
            await client.container_start(container)
            with pytest.raises(EngineProtocolError, match="frame"):
                await read_all(attached)
    finally:
        raw.remove_container(container)


async def test_an_unknown_container_has_no_streams(client: EngineClient) -> None:
    with pytest.raises(EngineNotFound):
        async with client.container_attach("no-such"):
            pass
    with pytest.raises(EngineNotFound):
        async with client.container_logs("no-such"):
            pass
