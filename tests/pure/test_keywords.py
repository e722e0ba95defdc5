"""Keywords that are a struct's fields, at run time. That type checkers know them is seen wherever a runner is made."""

import inspect
from typing import Any

import msgspec
import pytest

import lightrunner
from lightrunner import DockerRunner, RunnerOptions
from lightrunner.keywords import keywords_of


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Two fields."""

    number: int = 1
    text: str = ""


@keywords_of(Options)
def show(first: str, options: Options) -> tuple[str, Options]:
    """Show."""
    return first, options


def test_a_function_gets_the_struct() -> None:
    assert show("a", number=2, text="b") == ("a", Options(number=2, text="b"))
    assert show("a") == ("a", Options())
    assert (show.__name__, show.__doc__) == ("show", "Show.")


def test_other_keywords_are_refused() -> None:
    anything: Any = show
    with pytest.raises(TypeError, match="third"):
        anything("a", third=3)
    with pytest.raises(TypeError):
        anything("a", Options())


def test_the_signature_has_the_fields_and_their_defaults() -> None:
    assert [*inspect.signature(DockerRunner).parameters] == [*RunnerOptions.__struct_fields__]
    assert inspect.signature(DockerRunner).parameters["memory"].default == "512m"
    parameters = inspect.signature(lightrunner.run_sync).parameters
    assert [*parameters] == ["request", *RunnerOptions.__struct_fields__, "on_log", "on_output", "on_progress"]
