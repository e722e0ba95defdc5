"""``lightrunner mcp`` over stdio, with the SDK's own client: the tools, their bounds, cancellation, and the end."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
import trio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from lightrunner.mcp.arguments import TOOLS_BY_NAME
from tools.raw_engine import RawEngine

NAMES = {"run_code", "start_sandbox", "exec", "write_file", "read_file", "stop_sandbox"}

Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def environment(engine_host: str, tmp_path: Path) -> dict[str, str]:
    """The environment of the command; its temporary files are the test's."""
    (tmp_path / "tmp").mkdir()
    return {
        "DOCKER_HOST": engine_host,
        "LIGHT_RUNNER_STATE_DIR": str(tmp_path / "state"),
        "TMPDIR": str(tmp_path / "tmp"),
        "PATH": os.environ["PATH"],
    }


@pytest.fixture
def connect(environment: dict[str, str], daemon_clean: RawEngine, busybox: str, python_image: str) -> Connect:
    """Start the command, with images that are there, and connect to it."""
    daemon_clean.ping()
    images = ("--language", f"python={python_image}", "--language", f"sh={busybox}")

    @asynccontextmanager
    async def connected(*arguments: str) -> AsyncGenerator[Client]:
        parameters = StdioServerParameters(
            command=sys.executable, args=["-m", "lightrunner", "mcp", *images, *arguments], env=environment
        )
        async with Client(parameters) as client:
            yield client
        assert os.listdir(environment["TMPDIR"]) == []  # noqa: PTH208 - a list, at once

    return connected


async def call(client: Client, name: str, **arguments: Any) -> tuple[str, Any]:
    """Call a tool that works. Return its text, and its structure."""
    result = await client.call_tool(name, arguments)
    text = text_of(result)
    assert not result.is_error, text
    return text, result.structured_content


async def failing(client: Client, name: str, **arguments: Any) -> str:
    """Call a tool that does not work. Return why."""
    result = await client.call_tool(name, arguments)
    assert result.is_error
    return text_of(result)


def text_of(result: types.CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, types.TextContent)
    return content.text


async def test_code_runs_with_files_and_input(connect: Connect) -> None:
    async with connect() as client:
        listed = (await client.list_tools()).tools
        assert {tool.name for tool in listed} == NAMES
        for tool in listed:
            assert tool.input_schema == TOOLS_BY_NAME[tool.name].schema
        code = "import sys, helper; print(helper.x, sys.stdin.read()); print('e', file=sys.stderr); sys.exit(3)"
        text, structured = await call(
            client, "run_code", language="python", code=code, files={"helper.py": "x = 'ü'"}, input="in"
        )
        assert text.startswith("exited with code 3")
        assert "--- stdout\nü in\n--- stderr\ne" in text
        assert (structured["exit_code"], structured["stdout"], structured["success"]) == (3, "ü in\n", False)
        text, _ = await call(client, "run_code", language="sh", code="true")
        assert "(no output)" in text
        text, structured = await call(client, "run_code", language="sh", code="seq 200000", timeout=60)
        assert structured["is_cut"] is True
        assert len(text) < 40_000
        assert "bytes left out …]" in text
        assert text.endswith("199999\n200000")
        text, structured = await call(client, "run_code", language="sh", code="sleep 60", timeout=0.5)
        assert (structured["outcome"], "time limit" in text) == ("timed_out", True)


async def test_a_sandbox_keeps_its_files_between_commands(connect: Connect, raw: RawEngine) -> None:
    async with connect("--sandboxes", "1") as client:
        _, started = await call(client, "start_sandbox", language="sh", files={"a": "from the start"})
        box = started["sandbox"]
        assert await failing(client, "start_sandbox", language="sh")
        await call(client, "write_file", sandbox=box, path="d/b", content="ü\n")
        _, result = await call(client, "exec", sandbox=box, command="cat a d/b; cat > c; exit 2", input="typed")
        assert (result["exit_code"], result["stdout"]) == (2, "from the startü\n")
        assert (await call(client, "read_file", sandbox=box, path="/app/c"))[0] == "typed"
        assert "missing" in await failing(client, "read_file", sandbox=box, path="missing")
        await call(client, "exec", sandbox=box, command="head -c 300000 /dev/zero > big")
        assert "FILE_FAILED" in await failing(client, "read_file", sandbox=box, path="big")
        assert "maximum" in await failing(client, "exec", sandbox=box, command="true", timeout=301)
        await call(client, "stop_sandbox", sandbox=box)
        assert "no such sandbox" in await failing(client, "exec", sandbox=box, command="true")
        assert raw.containers() == []
        await call(client, "start_sandbox", language="sh")  # the end of the session removes it


async def test_a_sandbox_that_is_not_used_ends(connect: Connect, raw: RawEngine) -> None:
    async with connect("--idle", "1") as client:
        _, started = await call(client, "start_sandbox", language="sh")
        _, result = await call(client, "exec", sandbox=started["sandbox"], command="sleep 2; echo used")
        assert result["stdout"] == "used\n"
        with trio.fail_after(20):
            while raw.containers():  # noqa: ASYNC110 - the daemon is asked
                await trio.sleep(0.2)
        assert "has ended" in await failing(client, "read_file", sandbox=started["sandbox"], path="x")


@pytest.mark.parametrize("tool", ["run_code", "exec"])
async def test_a_call_that_the_client_cancels_is_killed(connect: Connect, raw: RawEngine, tool: str) -> None:
    async with connect() as client:
        arguments: dict[str, Any] = {"language": "sh", "code": "sleep 60", "timeout": 100}
        if tool == "exec":
            _, started = await call(client, "start_sandbox", language="sh")
            arguments = {"sandbox": started["sandbox"], "command": "sleep 60", "timeout": 100}
        with trio.move_on_after(2):
            await client.call_tool(tool, arguments)
        with trio.fail_after(20):
            if tool == "run_code":
                while raw.containers():  # noqa: ASYNC110 - the daemon is asked
                    await trio.sleep(0.1)
            else:
                _, result = await call(client, "exec", sandbox=arguments["sandbox"], command="ps")
                assert "sleep 60" not in result["stdout"]


async def test_what_is_wrong_with_a_call_is_said(connect: Connect) -> None:
    async with connect("--allow-image", "allowed*") as client:
        for arguments, reason in (
            ({"code": "x"}, "give a language or an image"),
            ({"language": "python"}, "missing required field `code`"),
            ({"language": "cobol", "code": ""}, "cobol"),
            ({"language": "sh", "code": "", "files": {"../x": ""}}, "files['../x']"),
            ({"language": "sh", "code": "", "files": {"main.sh": ""}}, "own file"),
            ({"language": "sh", "code": "", "timeout": 301}, "maximum of 300 s"),
            ({"language": "sh", "code": "", "timeout": -1}, "timeout=-1.0"),
            ({"image": "other", "code": ""}, "allows no image but"),
            ({"image": "allowed:x", "code": ""}, "IMAGE_PULL_FAILED"),
            ({"language": "sh", "code": "", "volume": "/"}, "volume"),
        ):
            assert reason in await failing(client, "run_code", **arguments)
        assert "there is no tool 'x'" in await failing(client, "x")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_while_its_client_says_nothing(
    environment: dict[str, str], daemon_clean: RawEngine, number: signal.Signals
) -> None:
    daemon_clean.ping()
    command = [sys.executable, "-m", "lightrunner", "mcp"]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        process.stdin.flush()
        assert b'"id":1' in process.stdout.readline()
        process.send_signal(number)
        assert process.wait(20) == -number


def test_it_ends_where_there_is_no_client(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "lightrunner", "mcp"]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"")
