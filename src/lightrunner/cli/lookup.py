"""Find a detached run or a sandbox by its id, or by the beginning of it (pure)."""

from collections.abc import Sequence

from lightrunner import RunState

from .exits import UsageError

_SHOWN = 4


def find_run(text: str, states: Sequence[RunState]) -> RunState:
    """The run whose id is `text`, or the only one whose id begins with it.

    Raises:
        UsageError: there is none, or there are several.
    """
    by_id = {state.id: state for state in states}
    return by_id[_find(text, list(by_id), "detached run", "runs", "ps --all")]


def find_sandbox(text: str, ids: Sequence[str]) -> str:
    """The sandbox whose id is `text`, or the only one whose id begins with it.

    Raises:
        UsageError: there is none, or there are several.
    """
    return _find(text, ids, "sandbox", "sandboxes", "sandboxes")


def _find(text: str, ids: Sequence[str], kind: str, several: str, listed_by: str) -> str:
    matches = [own_id for own_id in ids if text and own_id.startswith(text)]
    if len(matches) == 1 or text in matches:
        return text if text in matches else matches[0]
    if not matches:
        raise UsageError(f"no {kind} {text!r} on this host; `lightrunner {listed_by}` lists them")
    shown = ", ".join(matches[:_SHOWN])
    more = f" and {len(matches) - _SHOWN} more" if len(matches) > _SHOWN else ""
    raise UsageError(f"{text!r} is the beginning of {len(matches)} {several}: {shown}{more}")
