"""Tell refusals from findings: a value or lightrunner's own error is fine, any other exception is a finding."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def unless_refused(error: type[Exception], function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """What the function returns, or None where it refuses by `error`."""
    try:
        return function(*args, **kwargs)
    except error as refusal:
        _check_message(refusal)
        return None


def _check_message(refusal: Exception) -> None:
    assert str(refusal), f"{type(refusal).__name__} does not say why"
