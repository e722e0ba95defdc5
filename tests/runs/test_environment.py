"""The container's environment: names that POSIX does not allow are dropped with a warning, values arrive unchanged."""

import warnings

import pytest

from lightrunner import DockerRunner, LightRunnerWarning
from tests.runs.conftest import ImageVariant
from tests.runs.shell_runs import Run, shell

VALUES = {
    "PLAIN": "value",
    "EMPTY": "",
    "EQUALS": "a=b==c",
    "LINES": "one\ntwo\n\nfour\n",
    "BLANKS": "  \t two  ",
    "QUOTES": "'\"`$HOME\\${x}$(id)",
    "UNICODE": "grüße ✓ 🐋 \u202e",
    "_under_SCORE9": "name",
    "LONG": "x" * 100_000,
}


async def test_values_arrive_as_they_are(run: Run, busybox: str) -> None:
    result = await run(shell(busybox, "cat /proc/self/environ", env=VALUES))
    assert result.stdout is not None
    seen = dict(entry.split("=", 1) for entry in result.stdout.decode().rstrip("\0").split("\0"))
    assert {name: seen.get(name) for name in VALUES} == VALUES


async def test_a_variable_overrides_the_images(run: Run, image_variant: ImageVariant) -> None:
    image = image_variant("env", "ENV ONE=image TWO=image")
    result = await run(shell(image, "echo $ONE $TWO", env={"ONE": "request"}))
    assert result.stdout == b"request image\n"


async def test_names_that_are_not_posix_names_are_dropped_with_a_warning(run: Run, busybox: str) -> None:
    names = ["1ST", "with-dash", "with.dot", "", "a b", "ÜMLAUT", "A=B", "new\nline"]
    request = shell(busybox, "env", env=dict.fromkeys(names, "dropped") | {"KEPT": "kept"})
    with pytest.warns(LightRunnerWarning, match="dropped") as caught:
        result = await run(request)
    message = str(caught.pop(LightRunnerWarning).message)
    assert all(repr(name) in message for name in names)
    assert "KEPT" not in message
    assert result.stdout is not None
    assert b"KEPT=kept\n" in result.stdout
    assert b"dropped" not in result.stdout


async def test_the_warning_names_the_line_that_awaits_the_run(runner: DockerRunner, busybox: str) -> None:
    with pytest.warns(LightRunnerWarning) as caught:
        await runner.run(shell(busybox, "true", env={"no-name": ""}))
    assert caught.pop(LightRunnerWarning).filename == __file__


async def test_without_a_dropped_name_there_is_no_warning(run: Run, busybox: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LightRunnerWarning)
        await run(shell(busybox, "true", env={"FINE": ""}))
    assert not [warning for warning in caught if warning.category is LightRunnerWarning]
