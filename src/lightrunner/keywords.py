"""Keywords that are a struct's fields: their names, types and defaults have one place, and type checkers know them."""

import functools
import inspect
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

Fields = ParamSpec("Fields")
First = TypeVar("First")
Options = TypeVar("Options")
Result = TypeVar("Result")


def keywords_of(
    options: Callable[Fields, Options],
) -> Callable[[Callable[[First, Options], Result]], Callable[Concatenate[First, Fields], Result]]:
    """Let a function of a first argument and a struct take the struct's fields as keywords.

    Args:
        options: the struct. All of its fields are keyword-only.
    """

    def decorate(function: Callable[[First, Options], Result]) -> Callable[Concatenate[First, Fields], Result]:
        @functools.wraps(function)
        def with_keywords(first: First, /, *none: Fields.args, **fields: Fields.kwargs) -> Result:
            return function(first, options(*none, **fields))

        parameters = [*inspect.signature(function).parameters.values()][:1]
        parameters += inspect.signature(options).parameters.values()
        signature = inspect.signature(function).replace(parameters=parameters)
        setattr(with_keywords, "__signature__", signature)  # noqa: B010  # no type checker knows the attribute
        return with_keywords

    return decorate
