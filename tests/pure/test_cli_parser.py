"""The parser as a whole: every command has help with examples that parse, and a wrong line has a status of its own."""

import argparse
import io
import re
import shlex
from collections.abc import Mapping
from typing import cast

import pytest

from lightrunner.cli import exits
from lightrunner.cli.app import COMMANDS, parse
from lightrunner.cli.parser import build_parser, split_command


def subparsers() -> dict[str, argparse.ArgumentParser]:
    (choices,) = (action.choices for action in build_parser("0")._actions if action.dest == "command_name")
    return dict(cast("Mapping[str, argparse.ArgumentParser]", choices))


PARSERS = subparsers()
each_command = pytest.mark.parametrize("name", sorted(PARSERS))


def test_every_command_of_the_parser_can_be_run() -> None:
    assert set(PARSERS) == set(COMMANDS)


def examples(epilog: str) -> list[list[str]]:
    """The calls of lightrunner in a help text's examples, split as a shell does."""
    calls: list[list[str]] = []
    for line in epilog.splitlines():
        if line.startswith("  ") and (found := re.search(r"\blightrunner ([^)|]*)", line)):
            lexer = shlex.shlex(line[found.start() :].rstrip(')"'), posix=True, punctuation_chars="|<>()")
            lexer.whitespace_split = True
            words = list(lexer)
            end = next((at for at, word in enumerate(words) if word and set(word) <= set("|<>()")), len(words))
            calls.append(words[1:end])
    return calls


@each_command
def test_help_teaches_by_examples_that_parse(name: str) -> None:
    parser = PARSERS[name]
    calls = examples(parser.epilog or "")
    assert calls, "no example"
    for words in calls:
        own, _ = split_command(words)
        if own[0] == "stop" and len(own) == 1:  # its ids come from another command
            own.append("id")
        assert build_parser("0").parse_args(own).command_name in PARSERS
    assert name in {words[0] for words in calls}


@each_command
def test_help_fits_a_terminal_and_explains_every_option(name: str) -> None:
    parser = PARSERS[name]
    assert all(action.help for action in parser._actions)
    texts = [parser.description or "", parser.epilog or ""]
    assert max(len(line) for text in texts for line in text.splitlines()) <= 110
    assert parser.format_help()


@pytest.mark.parametrize(
    "line", ["", "fly", "run", "run i cmd", "run i --timeout x", "stop", "bench i --samples 0", "run i --jso", "ps x"]
)
def test_a_wrong_command_line(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        build_parser("0").parse_args(line.split())
    assert raised.value.code == exits.USAGE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "--help" in printed.err


@pytest.mark.parametrize(
    ("words", "own", "command"),
    [
        ([], [], None),
        (["run", "i"], ["run", "i"], None),
        (["run", "i", "--"], ["run", "i"], []),
        (["run", "--", "a", "--", "b"], ["run"], ["a", "--", "b"]),
    ],
)
def test_the_command_is_what_follows_the_first_two_dashes(
    words: list[str], own: list[str], command: list[str] | None
) -> None:
    assert split_command(words) == (own, command)


def test_help_goes_to_stdout_or_where_it_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        build_parser("0").parse_args(["run", "--help"])
    assert raised.value.code == 0
    assert capsys.readouterr().out.startswith("usage: lightrunner run IMAGE [options] [-- COMMAND ...]")
    elsewhere = io.StringIO()
    build_parser("0").print_help(elsewhere)
    assert "exit status:" in elsewhere.getvalue()


@pytest.mark.parametrize("line", ["-H unix:///a ps", "ps -H unix:///a", "--host unix:///b ps --host unix:///a"])
def test_the_host_may_stand_before_the_command_or_behind_it(line: str) -> None:
    assert build_parser("0").parse_args(line.split()).host == "unix:///a"
    assert build_parser("0").parse_args(["ps"]).host is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "i", "echo", "a b"], "lightrunner run IMAGE [options] -- echo 'a b'"),
        (["bench", "i", "true"], "lightrunner bench IMAGE [options] -- true"),
        (["run", "i", "--jso"], "unrecognized arguments: --jso\n"),
        (["run", "i", "ls", "-la"], "sage: lightrunner run IMAGE [options] [-- COMMAND ...]\n"),
        (["ps", "x"], "unrecognized arguments: x\n"),
    ],
)
def test_a_command_without_the_dashes_is_told_where_it_goes(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        parse(words)
    assert raised.value.code == exits.USAGE
    assert told in capsys.readouterr().err
