"""The contract: input, logs, and what callbacks may do."""

import pytest
import trio

from lightrunner import DockerRunner, LogLine
from lightrunner.testing import FakeContainer
from tests.contract.places import Place
from tests.contract.programs import SLEEP, nothing, prints, sleep
from tests.runs.shell_runs import Run

MEGABYTE = 1_000_000


async def cat(container: FakeContainer) -> None:
    while data := await container.stdin_some():
        await container.stdout(data)


async def test_input_is_json_and_ends(place: Place, run: Run) -> None:
    result = await run(place.request("cat", cat, input={"n": [1, "ä"]}, capture_output=True))
    assert result.stdout == '{"n":[1,"ä"]}'.encode()


async def test_input_of_bytes_larger_than_every_buffer(place: Place, run: Run) -> None:
    data = bytes(range(256)) * (3 * MEGABYTE // 256)
    result = await run(place.request("cat", cat, input=data, capture_output=True))
    assert result.stdout == data


async def test_without_an_input_stdin_is_at_its_end(place: Place, run: Run) -> None:
    async def count(container: FakeContainer) -> None:
        await container.stdout(b"%d" % len(await container.stdin()))

    result = await run(place.request("printf $(wc -c)", count, capture_output=True))
    assert result.stdout == b"0"


@pytest.mark.needs("unread_input")
async def test_a_program_that_does_not_read_its_input(place: Place, run: Run) -> None:
    result = await run(place.request("exit 3", prints(code=3), input=bytes(2 * MEGABYTE)))
    assert result.exit_code == 3


async def test_lines_come_in_order_and_by_their_stream(place: Place, run: Run) -> None:
    async def program(container: FakeContainer) -> None:
        for number in range(100):
            await container.stdout(b"out %d\n" % number)
            await container.stderr(b"err %d\n" % number)

    text = "i=0; while [ $i -lt 100 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done"
    lines = list[LogLine]()
    await run(place.request(text, program), on_log=lines.append)
    for stream, word in (("stdout", "out"), ("stderr", "err")):
        assert [line.text for line in lines if line.stream == stream] == [f"{word} {n}" for n in range(100)]


async def test_utf8_that_is_split_between_writes(place: Place, run: Run) -> None:
    async def program(container: FakeContainer) -> None:
        await container.stdout(b"gr\xc3")
        await container.stdout(b"\xbcn\n")

    lines = list[LogLine]()
    text = r"printf 'gr\303'; sleep 0.05; printf '\274n\n'"
    await run(place.request(text, program), on_log=lines.append)
    assert [line.text for line in lines] == ["grün"]


async def test_a_slow_callback_loses_nothing(place: Place, run: Run) -> None:
    async def program(container: FakeContainer) -> None:
        for number in range(30):
            await container.stdout(b"%d\n" % number)

    texts = list[str]()

    async def slow(line: LogLine) -> None:
        await trio.sleep(0.01)
        texts.append(line.text)

    await run(place.request("seq 0 29", program), on_log=slow)
    assert texts == [str(number) for number in range(30)]


async def test_captured_output_is_cut_and_says_so(place: Place, run: Run) -> None:
    async def program(container: FakeContainer) -> None:
        for _ in range(9):
            await container.stdout(b"x" * (1 << 20))

    request = place.request("head -c 9437184 /dev/zero | tr '\\0' x", program, capture_output=True)
    result = await run(request)
    assert result.stdout == b"x" * (8 << 20)
    assert result.stdout_truncated
    assert not result.stderr_truncated


async def test_an_exception_of_a_callback_ends_the_run_and_comes_out(place: Place, run: Run) -> None:
    class OwnError(Exception):
        pass

    def fail(line: LogLine) -> None:
        raise OwnError(line.text)

    with pytest.raises(OwnError, match="ready"):
        await run(place.request(SLEEP, sleep), on_log=fail)
    assert not place.left()


async def test_runs_at_the_same_time_do_not_mix(place: Place, runner: DockerRunner) -> None:
    async def program(container: FakeContainer) -> None:
        await container.stdout(await container.stdin())

    outputs = dict[int, bytes | None]()

    async def one(number: int) -> None:
        request = place.request("cat", program, input=b"%d" % number, capture_output=True)
        outputs[number] = (await runner.run(request)).stdout

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(one, number)
    assert outputs == {number: b"%d" % number for number in range(6)}


async def test_no_output_at_all(place: Place, run: Run) -> None:
    lines = list[LogLine]()
    result = await run(place.request("true", nothing, capture_output=True), on_log=lines.append)
    assert (lines, result.stdout, result.stderr) == ([], b"", b"")
