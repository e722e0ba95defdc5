"""Shell completion by argcomplete, which the extra ``lightrunner[cli]`` brings.

The shell calls the program itself for each completion, so that the ids of runs can be completed as well: a script that
is written once, as shtab makes it, cannot know them.
"""

import argparse
import os
from collections.abc import Sequence

from lightrunner import list_states

from .exits import OK, CommandError
from .signals import Signals
from .sockets import live_sandboxes
from .stdio import put

_HOW = "completion needs argcomplete: pip install 'lightrunner[cli]'"


async def completion(args: argparse.Namespace, _command: Sequence[str] | None, _signals: Signals) -> int:
    """Print a shell's code."""
    try:
        from argcomplete.shell_integration import shellcode  # noqa: PLC0415 - there may be none
    except ImportError as error:
        raise CommandError(_HOW) from error
    put(shellcode(["lightrunner"], shell=args.shell))
    return OK


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and exit, if it is the shell that has called this process."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        from argcomplete import autocomplete  # noqa: PLC0415 - there may be none
        from argcomplete.completers import FilesCompleter  # noqa: PLC0415
    except ImportError:
        return

    class Completer(FilesCompleter):
        """Ids where runs or sandboxes are meant, else files."""

        def __call__(self, prefix: str, **more: object) -> list[str]:
            action = more.get("action")
            match action.dest if isinstance(action, argparse.Action) else "":
                case "run_id":
                    return run_ids()
                case "sandbox_id":
                    return sandbox_ids()
                case _:
                    return super().__call__(prefix, **more)

    autocomplete(parser, always_complete_options="long", default_completer=Completer())


def run_ids() -> list[str]:
    """The ids of this host's detached runs."""
    try:
        return [state.id for state in list_states()]
    except OSError:
        return []


def sandbox_ids() -> list[str]:
    """The ids of this host's sandboxes."""
    try:
        return live_sandboxes()
    except OSError:
        return []
