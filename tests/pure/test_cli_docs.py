"""docs/cli.md against the parser: every command is there, its examples parse, and the exit statuses are the code's."""

import re
import shlex
from pathlib import Path

import pytest

from lightrunner.cli import exits
from lightrunner.cli.parser import build_parser, split_command

from .test_cli_parser import PARSERS

TEXT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
BLOCKS = [text for kind, text in re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL) if not kind]
CALLS = sorted({match for block in BLOCKS for match in re.findall(r"\blightrunner (?!\[)([^\n|]*)", block)})


def test_every_command_is_documented_and_no_other() -> None:
    headings = set(re.findall(r"^##+ (\S+)$", TEXT, re.MULTILINE))
    assert headings == set(PARSERS)


def test_every_command_has_an_example() -> None:
    inline = re.findall(r"`lightrunner ([a-z]+)", TEXT)
    assert {call.split()[0] for call in CALLS} | set(inline) >= set(PARSERS)


@pytest.mark.parametrize("call", CALLS)
def test_an_example_parses(call: str) -> None:
    words = shlex.split(re.sub(r'\)"?$', "", call))
    own, _ = split_command(words)
    assert build_parser("0").parse_args(own).command_name == words[0]


def test_the_exit_statuses_are_the_codes() -> None:
    told = {int(number) for number in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)}
    assert told == {exits.USAGE, exits.UNREACHABLE, exits.INCOMPLETE, exits.FAILED}


def test_every_long_option_that_the_page_names_exists() -> None:
    known = {option for parser in PARSERS.values() for action in parser._actions for option in action.option_strings}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT)) <= known
