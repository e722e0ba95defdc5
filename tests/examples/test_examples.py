"""Each example runs on a real engine, as a person would start it."""

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from lightrunner import DockerRunner
from tools.raw_engine import RawEngine

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(
    engine_host: str,
    daemon_clean: RawEngine,  # noqa: ARG001 - it looks after the test
    tmp_path: Path,
) -> "Example":
    return Example(engine_host, tmp_path)


class Example:
    """Starts examples in a folder of their own, with the engine in the environment."""

    def __init__(self, host: str, folder: Path) -> None:
        self.host = host
        self.folder = folder
        self.environment = os.environ | {
            "LIGHT_RUNNER_HOST": host,
            "LIGHT_RUNNER_STATE_DIR": str(folder / "state"),
            "PYTHONWARNINGS": "error",
        }

    def run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run an example to its end."""
        command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )


def test_judge(example: Example, python_image: str) -> None:
    done = example.run("judge", "--image", python_image)
    assert done.returncode == 0, done.stderr
    verdicts = {name.strip(): said for name, _, said in (line.partition(": ") for line in done.stdout.splitlines())}
    assert verdicts["right"] == "ok"
    expected = {
        "wrong": "wrong answer on test 1",
        "crashes": "runtime error on test 1",
        "never ends": "time limit on test 1",
        "eats memory": "memory limit on test 1",
        "floods": "output limit on test 1",
    }
    assert {name: said.partition(" (")[0] for name, said in verdicts.items() if name != "right"} == expected


def test_agent(example: Example, python_image: str) -> None:
    done = example.run("agent", "--image", python_image)
    assert done.returncode == 0, done.stderr
    steps, _, report = done.stdout.partition("the report:\n")
    assert report == "5 the\n2 cat\n2 dog\n2 saw\n1 and\n1 end\n\n"
    killed = re.search(r"killed after (\d+\.\d) s: the time limit", steps)
    assert killed, steps
    assert float(killed[1]) >= 3.0  # The limit, and what the machine takes to kill.
    told = [
        *("| the cat saw the dog", "exited with code 1", "NameError: name 'Counter'", "Network is unreachable"),
        *(killed[0], "| 5 the", "hands in report.txt"),
    ]
    at = [steps.find(words) for words in told]
    assert -1 not in at, steps
    assert at == sorted(at), steps


def test_ci_step(example: Example, python_image: str) -> None:
    project = example.folder / "project"
    project.mkdir()
    (project / "check.py").write_text("import made\nopen('report', 'w').write('2 passed')\nprint('checked')\n")
    folder = "$(python -c 'import site; print(site.getsitepackages()[0])')"
    setup = ["--setup", f"mkdir -p {folder} && echo 'answer = 42' >{folder}/made.py"]
    step = [str(project), "--image", python_image, *setup, "--", "python"]
    try:
        done = example.run("ci_step", *step, "check.py")
        assert (done.returncode, done.stdout) == (0, "checked\n"), done.stderr
        assert (example.folder / "out" / "report").read_text() == "2 passed"
        failed = example.run("ci_step", *step, "-c", "raise SystemExit(3)")
        assert failed.returncode == 3, failed.stderr
    finally:
        trio.run(_remove_cache, example.host)


async def _remove_cache(host: str) -> None:
    async with DockerRunner(host=host) as runner:
        await runner.cleanup_orphan_cache(max_age=0.0)


def test_batch(example: Example, python_image: str) -> None:
    started = example.run("batch", "--image", python_image, "start", "3", "4")
    assert started.returncode == 0, started.stderr
    ids = started.stdout.split()
    collected = example.run("batch", "collect")
    assert collected.returncode == 0, collected.stderr
    assert sorted(line.partition(":")[0] for line in collected.stdout.splitlines()) == sorted(ids)
    assert [(example.folder / "out" / n / "square").read_text() for n in ("3", "4")] == ["9", "16"]


def test_latency(example: Example, python_image: str) -> None:
    done = example.run("latency", "--image", python_image, "--samples", "2", "--", "echo", "1")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ms", "cold", "prepared", "warm"]


async def test_web(example: Example, python_image: str, tmp_path: Path) -> None:
    socket = tmp_path / "web.sock"
    app = "import uvicorn; from examples.web import create_app; "
    serve = f"uvicorn.run(create_app(image={python_image!r}), uds={str(socket)!r}, log_level='warning')"
    environment = example.environment | {"PYTHONPATH": str(EXAMPLES.parent)}
    # uvicorn ends with the signal that ended it.
    run_server = partial(trio.run_process, [sys.executable, "-c", app + serve], env=environment, check=False)
    async with trio.open_nursery() as nursery:
        server = await nursery.start(run_server)
        while not socket.exists():  # noqa: ASYNC110 - another process makes it
            await trio.sleep(0.05)
        transport = httpx.AsyncHTTPTransport(uds=str(socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://web", timeout=60) as client:
            said = await client.post("/run", content="print(6 * 7)")
            assert said.text.splitlines()[0] == "42"
            assert said.text.splitlines()[1].startswith("-- ")
            with trio.move_on_after(3):  # A visitor goes away; the run goes along, as `daemon_clean` checks.
                await client.post("/run", content="import time; time.sleep(60)")
        server.terminate()
        with trio.fail_after(30):
            await server.wait()
        nursery.cancel_scope.cancel()
