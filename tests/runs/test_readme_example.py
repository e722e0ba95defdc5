"""The README's example: a project folder and JSON in, a file out, and the logs as they arrive."""

import json
from pathlib import Path

import pytest

from lightrunner import ExtractSpec, LogLine, RunRequest
from tests.runs.shell_runs import Run

MAIN = """
import json, sys
task = json.load(sys.stdin)
print("computing", task["task"])
print("on stderr", file=sys.stderr)
json.dump({"sum": sum(range(task["n"]))}, open("result.json", "w"))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "my-project"
    folder.mkdir()
    (folder / "main.py").write_text(MAIN)
    return folder


@pytest.mark.needs("isolated_network")
async def test_the_example(run: Run, python_image: str, project: Path, tmp_path: Path) -> None:
    lines: list[LogLine] = []
    out = tmp_path / "out"
    result = await run(
        RunRequest(
            image=python_image,
            entrypoint="python main.py",
            dir=project,
            input={"task": "compute", "n": 20},
            timeout=30.0,
            extract=[ExtractSpec("/app/result.json", out)],
        ),
        on_log=lines.append,
    )
    assert (result.success, result.exit_code) == (True, 0)
    assert 0 < result.duration < 30
    assert {(line.stream, line.text) for line in lines} == {("stdout", "computing compute"), ("stderr", "on stderr")}
    assert json.loads((out / "result.json").read_text()) == {"sum": 190}
    assert result.extracted is not None
    assert [(entry.from_, entry.status) for entry in result.extracted] == [("/app/result.json", "ok")]
    assert (result.stdout, result.stderr) == (None, None), "nothing is kept that was not asked for"
