"""Find a detached run by its id, or by the beginning of it (pure)."""

from collections.abc import Sequence

from lightrunner import RunState

from .exits import UsageError

_SHOWN = 4


def find_run(text: str, states: Sequence[RunState]) -> RunState:
    """The run whose id is `text`, or the only one whose id begins with it.

    Raises:
        UsageError: there is none, or there are several.
    """
    matches = [state for state in states if text and state.id.startswith(text)]
    exact = [state for state in matches if state.id == text]
    if len(matches) == 1 or exact:
        return (exact or matches)[0]
    if not matches:
        raise UsageError(f"no detached run {text!r} on this host; `lightrunner ps --all` lists them")
    shown = ", ".join(state.id for state in matches[:_SHOWN])
    more = f" and {len(matches) - _SHOWN} more" if len(matches) > _SHOWN else ""
    raise UsageError(f"{text!r} is the beginning of {len(matches)} runs: {shown}{more}")
