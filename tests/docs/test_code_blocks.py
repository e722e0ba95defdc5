"""Every Python block of the README and of the pages runs on a real engine.

A block that starts an event loop of its own is a program, and runs as one. Any other block is a fragment: it runs in a
namespace with an open `runner`, a `request`, an open `nursery`, trio and lightrunner's public names, and may await. The
blocks of a page run in order and share the namespace, as a reader would take them.
"""

import ast
import inspect
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import pytest
import trio

import lightrunner
from lightrunner import DockerRunner, RunRequest
from tools.raw_engine import RawEngine

ROOT = Path(__file__).parents[2]
SWARM = ROOT / "docs" / "swarm.md"
"""Its blocks run on a swarm: tests/swarm."""
PAGES = sorted({ROOT / "README.md", *(ROOT / "docs").rglob("*.md")} - {SWARM})

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LOOPS = ("trio.run(", "asyncio.run(", "run_sync(", "map_sync(")

MAIN = "import json, sys\njson.dump({'task': json.load(sys.stdin)}, open('result.json', 'w'))\n"
STUBS = ["apk", "pip"]
"""Programs that setup steps of the pages call. In the image they do nothing, since there is no registry to ask."""


class Block(NamedTuple):
    """A block of Python, and where it begins."""

    page: Path
    line: int
    text: str

    @property
    def is_program(self) -> bool:
        """Whether it starts an event loop of its own."""
        return any(loop in self.text for loop in _LOOPS)

    def compiled(self) -> CodeType:
        """The code, with the page's own line numbers."""
        text = "\n" * self.line + self.text
        code: CodeType = compile(text, str(self.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return code


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text()
    return [Block(page, text.count("\n", 0, match.start(1)), match[1]) for match in _BLOCK.finditer(text)]


WITH_BLOCKS = [page for page in PAGES if blocks(page)]


@pytest.fixture(scope="module")
def images(raw: RawEngine, python_image: str) -> str:
    """The image that the pages name, with stand-ins for the programs of their setup steps."""
    tag = "python:3.12-alpine"
    script = "; ".join(f"printf '#!/bin/sh\\n' >/bin/{name}; chmod +x /bin/{name}" for name in STUBS)
    body = {"Image": python_image, "Cmd": ["sh", "-ec", script], "HostConfig": {"NetworkMode": "none"}}
    container_id: str = raw.json("POST", "/containers/create", json=body)["Id"]
    raw.request("POST", f"/containers/{container_id}/start")
    assert raw.json("POST", f"/containers/{container_id}/wait")["StatusCode"] == 0
    repo, _, version = tag.partition(":")
    raw.request("POST", "/commit", query={"container": container_id, "repo": repo, "tag": version}, json={})
    raw.remove_container(container_id)
    return tag


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine_host: str) -> Path:
    """The working folder of a block, and an environment in which lightrunner finds the engine."""
    (tmp_path / "my-project").mkdir()
    (tmp_path / "my-project" / "main.py").write_text(MAIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIGHT_RUNNER_HOST", engine_host)
    monkeypatch.setenv("LIGHT_RUNNER_STATE_DIR", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def logger_level() -> Iterator[None]:
    """A page may set the level of lightrunner's logger: after the test it is what it was."""
    logger = logging.getLogger("lightrunner")
    level = logger.level
    yield
    logger.setLevel(level)


async def run_fragments(page: Path, image: str) -> None:
    """Run a page's fragments in one namespace."""
    names: dict[str, Any] = {name: value for name, value in vars(lightrunner).items() if not name.startswith("_")}
    async with DockerRunner() as runner, trio.open_nursery() as nursery:
        request = RunRequest(image=image, entrypoint="python -c 'print(1)'", network="none")
        names |= {"trio": trio, "lightrunner": lightrunner, "runner": runner, "nursery": nursery, "request": request}
        for block in blocks(page):
            if not block.is_program:
                names["request"] = request
                outcome = eval(block.compiled(), names)  # noqa: S307 - the project's own text
                if inspect.isawaitable(outcome):
                    await outcome
        nursery.cancel_scope.cancel()
        with trio.move_on_after(60, shield=True):
            await runner.cleanup_orphan_cache(max_age=0.0)


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: page.name)
@pytest.mark.usefixtures("folder", "daemon_clean", "logger_level")
async def test_fragments_run(page: Path, images: str) -> None:
    await run_fragments(page, images)


@pytest.mark.parametrize(
    "block",
    [block for page in WITH_BLOCKS for block in blocks(page) if block.is_program],
    ids=lambda block: f"{block.page.name}:{block.line}",
)
@pytest.mark.usefixtures("images", "daemon_clean")
def test_programs_run(block: Block, folder: Path) -> None:
    program = folder / "program.py"
    program.write_text(block.text)
    done = subprocess.run(
        [sys.executable, "-W", "error", program],
        cwd=folder,
        env=dict(os.environ),
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_there_are_blocks() -> None:
    assert ROOT / "README.md" in WITH_BLOCKS
