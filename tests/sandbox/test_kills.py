"""The end of a command is the end of all that it started, whatever that does, and of nothing else."""

import ast
from pathlib import Path

import pytest
import trio

from lightrunner import Sandbox

PROGRAMS = Path(__file__).with_name("hostile_programs.py")

SLEEPERS = "ps | grep -c '[s]leep'"

HOSTILE = [
    *("runner", "reaping_runner", "threads", "killer"),
    # These fork without end.
    *(pytest.param(name, marks=pytest.mark.needs("pids")) for name in ("bomb", "stopper", "leaver")),
]


async def left(box: Sandbox) -> list[bytes]:
    """The commands of all processes of the sandbox but process 1 and what asks."""
    script = "import glob; print([open(p, 'rb').read() for p in glob.glob('/proc/[0-9]*/cmdline')])"
    answer = (await box.exec(["python", "-c", script])).check().stdout or b""
    found: list[bytes] = ast.literal_eval(answer.decode())
    return [line.replace(b"\0", b" ") for line in found if not line.startswith((b"/.light-runner", b"python\0-c"))]


@pytest.mark.parametrize(
    "command",
    [
        "sleep 100",
        "trap '' TERM INT HUP; sleep 100 & sleep 100; sleep 100",
        "(setsid sh -c 'sleep 100 & sleep 100' &); sleep 100",
        pytest.param("setsid setsid sleep 100 & sleep 100 & kill -STOP $$", marks=pytest.mark.needs("stopped_orphans")),
        "exec >&- 2>&-; sleep 100",
    ],
)
async def test_a_time_out_ends_everything(box: Sandbox, command: str) -> None:
    with trio.fail_after(20):
        result = await box.exec(command, timeout=0.2)
    assert (result.exit_code, result.timed_out, result.success) == (137, True, False)
    assert (await box.exec(SLEEPERS)).stdout == b"0\n"


async def test_a_cancelled_command_ends(box: Sandbox) -> None:
    with trio.move_on_after(0.2) as scope:
        await box.exec("(setsid sleep 100 &); sleep 100")
    assert scope.cancelled_caught
    assert (await box.exec(SLEEPERS)).stdout == b"0\n"


@pytest.mark.parametrize("program", HOSTILE)
async def test_a_hostile_program_is_beaten_while_it_runs(python_box: Sandbox, program: str) -> None:
    """It runs as root, alone."""
    await python_box.write("hostile.py", PROGRAMS.read_bytes())
    with trio.fail_after(30):
        result = await python_box.exec(["python", "hostile.py", program], timeout=0.7)
        assert not result.success
        assert await left(python_box) == []


@pytest.mark.parametrize("program", HOSTILE)
async def test_a_hostile_program_takes_no_neighbour_along(python_box: Sandbox, program: str) -> None:
    """A background process and a command at the same time outlive it; only root could harm them."""
    await python_box.write("hostile.py", PROGRAMS.read_bytes())
    await python_box.exec("echo ready > /tmp/ready; sleep 1000 &", background=True)
    async with trio.open_nursery() as nursery:
        neighbour = await nursery.start(python_box.start, "read line; echo got $line")
        with trio.fail_after(30):
            await python_box.exec(["python", "hostile.py", program], timeout=0.7, user="app")
        await neighbour.stdin.send_all(b"word\n")
        assert await neighbour.stdout.receive_some() == b"got word\n"
        assert (await neighbour.wait()).exit_code == 0
    assert await left(python_box) == [b"sleep 1000 "]


async def test_code_that_kills_its_supervisor_dies_of_it(box: Sandbox) -> None:
    await box.exec("sleep 1000 &", background=True)
    with trio.fail_after(20):
        result = await box.exec("(setsid sleep 100 &); kill -9 $PPID; sleep 100")
    assert result.exit_code == 137
    assert (await box.exec(SLEEPERS)).stdout == b"1\n"


@pytest.mark.needs("default_signals")
async def test_process_1_is_out_of_reach(python_box: Sandbox) -> None:
    """Not even root can signal, trace or read it: it is undumpable, and containers lack CAP_SYS_PTRACE."""
    await python_box.write("hostile.py", PROGRAMS.read_bytes())
    result = await python_box.exec(["python", "hostile.py", "reach"])
    assert result.stdout == b"fd/0 13\nmem 13\nenviron 13\nptrace 1\nprogram 30\n", result.stderr
    supervisor = await python_box.exec(["python", "hostile.py", "reach_parent"])
    assert supervisor.stdout == b"fd/0 13\nmem 13\nenviron 13\nptrace 1\n", supervisor.stderr
    await python_box.exec("for s in 1 2 3 9 15 19; do kill -$s 1; done")
    assert (await python_box.exec("echo alive")).stdout == b"alive\n"


async def test_an_output_that_somebody_else_holds_open_ends(box: Sandbox) -> None:
    """Another command opens the pipe by way of /proc, and keeps it."""
    holder = "until [ -s /tmp/pid ]; do :; done; exec 7>/proc/$(cat /tmp/pid)/fd/1; touch /tmp/held; sleep 1000"
    async with trio.open_nursery() as nursery:
        process = await nursery.start(box.start, holder)
        with trio.fail_after(20):
            result = await box.exec("echo $$ > /tmp/pid; until [ -e /tmp/held ]; do :; done; echo end")
        assert result.stdout == b"end\n"
        await process.kill()
