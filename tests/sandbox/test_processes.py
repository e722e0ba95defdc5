"""`Sandbox.start`: a process whose streams the caller has, and ports of servers inside."""

from contextlib import suppress
from functools import partial

import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, RunRequest, Sandbox

SERVER = """
import socket, threading
server = socket.create_server(("127.0.0.1", 8000))
print("ready", flush=True)
def echo(peer):
    while data := peer.recv(65536):
        peer.sendall(data)
    peer.sendall(b"end")
    peer.close()
while True:
    threading.Thread(target=echo, args=[server.accept()[0]]).start()
"""


async def read_until(stream: trio.abc.ReceiveStream, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        part = await stream.receive_some()
        assert part, data
        data += part
    return data


async def test_a_conversation(python_box: Sandbox) -> None:
    async with trio.open_nursery() as nursery:
        process = await nursery.start(python_box.start, ["python", "-iqu", "-c", ""])
        assert (process.exit_code, process.stderr is None, process.pid > 1) == (None, False, True)
        for number in range(20):
            await process.stdin.send_all(f"print({number} ** 2)\n".encode())
            assert await read_until(process.stdout, b"\n") == f"{number**2}\n".encode()
        await process.stdin.send_all(b"raise SystemExit(7)\n")
        result = await process.wait()
        assert (result.exit_code, process.exit_code) == (7, 7)
        assert await process.stdout.receive_some() == b""
        with pytest.raises(trio.BrokenResourceError):
            await process.stdin.send_all(bytes(300_000))


async def test_an_end_of_file_a_signal_and_a_kill(box: Sandbox) -> None:
    async with trio.open_nursery() as nursery:
        cat = await nursery.start(box.start, ["cat"])
        await cat.stdin.send_all(b"all of it")
        await cat.stdin.aclose()
        assert await read_until(cat.stdout, b"all of it")
        assert (await cat.wait()).success
        with pytest.raises(trio.ClosedResourceError):
            await cat.stdin.send_all(b"more")
        sleeper = await nursery.start(box.start, "trap 'exit 9' TERM; while :; do sleep 0.01; done")
        await trio.sleep(0.1)
        await sleeper.terminate()
        assert (await sleeper.wait()).exit_code == 9
        family = await nursery.start(box.start, "(setsid sleep 100 &); sleep 100")
        await family.kill()
        result = await family.wait()
        assert (result.exit_code, result.outcome, result.cancelled, result.timed_out) == (137, "cancelled", True, False)
        await family.kill()
    assert (await box.exec("ps | grep -c '[s]leep'")).stdout == b"0\n"


async def test_a_cancelled_task_kills_its_process(box: Sandbox) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(box.start, "sleep 100")
        nursery.cancel_scope.cancel()
    assert (await box.exec("ps | grep -c '[s]leep'")).stdout == b"0\n"


async def test_a_read_that_is_cancelled_again_and_again_loses_nothing(box: Sandbox) -> None:
    size = 3_000_000
    cancelled = 0
    async with trio.open_nursery() as nursery:
        process = await nursery.start(box.start, f"head -c {size} /dev/zero | tr '\\0' x; sleep 0.3; printf end")
        got = b""
        while not got.endswith(b"end"):
            with trio.move_on_after(0.0005) as scope:
                got += await process.stdout.receive_some(100_000)
            cancelled += scope.cancelled_caught
    assert (len(got), cancelled > 0) == (size + 3, True)


async def test_a_time_out(box: Sandbox) -> None:
    with trio.fail_after(20):
        result = await box.start("sleep 100", timeout=0.1)
    assert (result.exit_code, result.timed_out) == (137, True)


async def test_what_does_not_start_comes_out_of_start(box: Sandbox) -> None:
    with pytest.raises(LightRunnerError, match="no-such-program") as caught:
        await box.start(["no-such-program"])
    assert caught.value.code is LightRunnerErrorCode.FILE_FAILED
    with pytest.raises(LightRunnerError, match="user"):
        await box.start("true", user="nobody-of-that-name")


async def test_a_terminal(box: Sandbox) -> None:
    async with trio.open_nursery() as nursery:
        process = await nursery.start(partial(box.start, "sh", terminal=(24, 80)))
        assert process.stderr is None
        await process.stdin.send_all(b"stty size; tty; stty -echo; echo $TERM\n")
        assert b"24 80\r\n/dev/pts/" in await read_until(process.stdout, b"xterm\r\n/app # ")
        await process.resize(30, 100)
        await process.stdin.send_all(b"stty size\n")
        assert b"30 100\r\n" in await read_until(process.stdout, b"# ")
        await process.stdin.aclose()  # Ctrl-D
        assert (await process.wait()).exit_code == 0


async def test_a_server_inside_is_reached_from_here(runner: DockerRunner, python_image: str) -> None:
    """Without a network. Connections do not mix, an end of file goes both ways, and a port may be closed."""
    request = RunRequest(image=python_image, network="none")
    async with runner.sandbox(request, expose=[8000]) as box, trio.open_nursery() as nursery:
        process = await nursery.start(box.start, ["python", "-c", SERVER])
        assert await read_until(process.stdout, b"ready\n")
        address = box.exposed[8000]
        assert address.host == "127.0.0.1"
        assert await box.expose(8000) == address

        async def talk(number: int) -> None:
            data = bytes([number]) * 700_000
            async with await trio.open_tcp_stream(*address) as stream, trio.open_nursery() as both:

                async def send() -> None:
                    await stream.send_all(data)
                    await stream.send_eof()

                both.start_soon(send)
                received = b"".join([part async for part in stream])
            assert received == data + b"end"

        async with trio.open_nursery() as talks:
            for number in range(8):
                talks.start_soon(talk, number)
        closed = await box.expose(9)
        async with await trio.open_tcp_stream(*closed) as stream:
            with trio.fail_after(10):
                with suppress(trio.BrokenResourceError):
                    assert await stream.receive_some() == b""
        stream = await trio.open_tcp_stream(*address)
        await stream.aclose()  # At once, and nothing else is disturbed.
        await talk(9)
        await process.kill()
    with pytest.raises(OSError, match=r"refused|connect"):
        await trio.open_tcp_stream(*address)
