"""Arguments of a sandbox's methods, checked."""

from pathlib import PurePosixPath
from typing import Any

import pytest

from lightrunner import ExtractSpec, RunRequest
from lightrunner.plan import check_request
from lightrunner.rules.violation import RuleViolation
from lightrunner.sandbox import order
from lightrunner.sandbox.protocol import SpawnFlag

AROUND = order.Surroundings("/app", "app", ("A=1", "B=2"))


def command(words: Any = "ls", **options: Any) -> order.CommandPlan:
    given: dict[str, Any] = {"stdin": None, "env": {}, "workdir": None, "user": None, "timeout": None}
    given["background"] = False
    return order.plan_command(AROUND, words, **(given | options))


def process(words: Any = "ls", **options: Any) -> order.CommandPlan:
    given: dict[str, Any] = {"env": {}, "workdir": None, "user": None, "terminal": None}
    return order.plan_process(AROUND, words, **(given | options))


def test_a_text_is_for_the_shell_and_a_list_is_not() -> None:
    assert command("ls -l").spawn.argv == [b"sh", b"-c", b"ls -l"]
    assert command(("ls", "-l")).spawn.argv == [b"ls", b"-l"]
    assert command(["ü"]).shown == "ü"


def test_later_variables_win() -> None:
    plan = command(env={"B": "3", "a b": "x"})
    assert plan.spawn.env == [b"A=1", b"B=3"]
    assert plan.dropped_env == ["a b"]


def test_the_surroundings_hold_unless_told_otherwise() -> None:
    assert (command().spawn.workdir, command().spawn.user) == (b"/app", b"app")
    spawn = command(workdir="sub", user="root").spawn
    assert (spawn.workdir, spawn.user) == (b"/app/sub", b"root")
    assert command(workdir="/x").spawn.workdir == b"/x"


def test_flags_tell_of_input_and_background() -> None:
    assert command().spawn.flags == SpawnFlag(0)
    assert command(stdin=b"").spawn.flags == SpawnFlag.INPUT
    assert command(stdin={"a": 1}, background=True).spawn.flags == SpawnFlag.INPUT | SpawnFlag.BACKGROUND
    assert command(stdin={"a": 1}).input == b'{"a":1}'


def test_a_terminal_has_a_size_and_a_kind() -> None:
    plan = process(terminal=(24, 80))
    assert plan.spawn.flags == SpawnFlag.INPUT | SpawnFlag.TTY
    assert (plan.spawn.rows, plan.spawn.columns) == (24, 80)
    assert b"TERM=xterm" in plan.spawn.env
    assert b"TERM=xterm" not in process(terminal=(24, 80), env={"TERM": "vt100"}).spawn.env
    assert process().spawn.flags == SpawnFlag.INPUT


@pytest.mark.parametrize("size", [(1,), [24, 80], (1, 70_000), (-1, 1), (True, 1), None, "24x80"])
def test_other_sizes_are_refused(size: Any) -> None:
    with pytest.raises(RuleViolation, match="terminal"):
        order.check_size(size)


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("env", {"env": 5}),
        ("workdir", {"workdir": 5}),
        ("user", {"user": ""}),
        ("user", {"user": "x" * 256}),
        ("timeout", {"timeout": "1"}),
        ("background", {"background": None}),
        ("input", {"stdin": {1, 2}}),
    ],
)
def test_what_breaks_a_rule_is_named(field: str, options: dict[str, Any]) -> None:
    with pytest.raises(RuleViolation, match=field):
        command(**options)


@pytest.mark.parametrize("words", ["", "\n", [], {}, None, 5, b"ls", ["a", 5], ["a\0"], "\ud800"])
def test_other_commands_are_refused(words: Any) -> None:
    with pytest.raises(RuleViolation, match="command"):
        command(words)


def test_ports() -> None:
    assert order.check_ports("expose", [80, 443, 80]) == (80, 443)
    for ports in ("80", 80, [0], [65_536], [True], ["80"], None):
        with pytest.raises(RuleViolation, match="expose"):
            order.check_ports("expose", ports)


def test_signals() -> None:
    assert order.check_signal(15) == 15
    for signal in (0, 65, True, "TERM", None):
        with pytest.raises(RuleViolation, match="signal"):
            order.check_signal(signal)


def test_paths() -> None:
    assert order.check_path("path", "a//b/.", "/app") == "/app/a/b"
    assert order.check_path("path", PurePosixPath("/x"), "/app") == "/x"
    for path in ("", "/", "../x", "a\0b", 5, b"a", None):
        with pytest.raises(RuleViolation, match="path"):
            order.check_path("path", path, "/app")


def test_data() -> None:
    assert order.check_data("data", memoryview(b"ab")) == b"ab"
    for data in ("text", 5, None):
        with pytest.raises(RuleViolation, match="data"):
            order.check_data("data", data)


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("entrypoint", {"entrypoint": "ls"}),
        ("input", {"input": b""}),
        ("extract", {"extract": [ExtractSpec("a", "b")]}),
        ("tty", {"tty": True, "input": None}),
        ("cpu_timeout", {"cpu_timeout": 1.0}),
        ("output_limit", {"output_limit": 10}),
    ],
)
def test_a_sandbox_has_nothing_that_is_of_a_run(field: str, options: dict[str, Any]) -> None:
    order.check_sandbox(check_request(RunRequest(image="x")))
    with pytest.raises(RuleViolation, match=field):
        order.check_sandbox(check_request(RunRequest(image="x", **options)))
