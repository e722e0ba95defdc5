"""What extras bring, and whether it is there."""

import importlib.util

from .exits import CommandError


def check_extra(extra: str, module: str) -> None:
    """Raise `CommandError` if an extra's module is not installed."""
    try:
        is_installed = importlib.util.find_spec(module) is not None
    except ValueError:  # A module that is blocked.
        is_installed = False
    if not is_installed:
        raise CommandError(f"{extra} needs its extra: pip install 'lightrunner[{extra}]'")
