"""The building blocks of the command line: a parser with this tool's messages, and commands with help (pure)."""

import argparse
import shlex
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from . import exits

TAKE_COMMANDS = frozenset({"run", "bench", "exec"})
"""The commands that take a command for the container, behind ``--``."""


class Parser(argparse.ArgumentParser):
    """argparse's parser, with this tool's exit status for a wrong command line."""

    def error(self, message: str) -> NoReturn:
        """Print the reason and where to find help, and exit with `exits.USAGE`."""
        usage = self.format_usage() if self.usage else ""  # One line, unlike argparse's own, which lists every option.
        self.exit(exits.USAGE, f"{self.prog}: {message}\n{usage}Try '{self.prog} --help'.\n")

    def refuse(self, words: Sequence[str], command_name: str) -> NoReturn:
        """Exit as `error` does, on words that no option takes."""
        hint = ""
        if command_name in TAKE_COMMANDS and not words[0].startswith("-"):
            operand = "ID" if command_name == "exec" else "IMAGE"
            hint = (
                f"; the command goes behind --: lightrunner {command_name} {operand} [options] -- {shlex.join(words)}"
            )
        self.error(f"unrecognized arguments: {' '.join(words)}{hint}")

    def print_help(self, file: Any = None) -> None:
        """Print the help text. Unlike argparse's own method, raise BrokenPipeError if the reader has left."""
        (file or sys.stdout).write(self.format_help())


class Commands:
    """Adds commands, each with its help, its examples and the options that all share."""

    def __init__(
        self, add_parser: Callable[..., argparse.ArgumentParser], formatter: type[argparse.HelpFormatter]
    ) -> None:
        self._add_parser = add_parser
        self._formatter = formatter

    def add(
        self,
        name: str,
        summary: str,
        description: str,
        examples: str,
        *,
        usage: str | None = None,
        json: bool = True,
        host: bool = True,
    ) -> argparse.ArgumentParser:
        """Add a command."""
        body = textwrap.dedent(description).strip()
        parser = self._add_parser(
            name,
            usage=usage,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}." + (f"\n\n{body}" if body else ""),
            epilog="examples:\n" + textwrap.indent(textwrap.dedent(examples).strip(), "  "),
            formatter_class=self._formatter,
            allow_abbrev=False,
        )
        if host:
            add_host(parser, default=argparse.SUPPRESS)  # One given before the command is kept.
        if json:
            parser.add_argument("--json", action="store_true", help="print one JSON object to stdout")
        return parser


def add_host(parser: argparse.ArgumentParser, *, default: str | None) -> None:
    """The option that names the daemon."""
    parser.add_argument(
        "-H",
        "--host",
        metavar="URL",
        default=default,
        help="the daemon: unix:///path, tcp://host:port or ssh://user@host (default: as the environment says)",
    )


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """The option against progress."""
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr; errors are still told")
