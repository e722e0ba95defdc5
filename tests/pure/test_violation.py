"""A violation always has a text, and a short one."""

from typing import Any

import pytest

from lightrunner import RunRequest
from lightrunner.plan import check_request
from lightrunner.rules.violation import RuleViolation


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\nb", r"'a\nb'"),
        (None, "None"),
        ("x" * 198, f"'{'x' * 198}'"),
        ("x" * 199, f"'{'x' * 199}… (201 characters)"),
    ],
)
def test_shown(value: object, shown: str) -> None:
    violation = RuleViolation("field[0]", value, "not good")
    assert str(violation) == f"field[0]={shown}: not good"
    assert (violation.field, violation.value, violation.reason) == ("field[0]", value, "not good")


def test_a_value_that_cannot_be_shown() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert str(RuleViolation("input", nested, "too deep")) == "input=<list>: too deep"
    assert (
        str(RuleViolation("memory", 10**5000, "too many digits for Python"))
        == "memory=<int>: too many digits for Python"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"env": {"TOKEN": b"hunter2"}},
        {"env": {"TOKEN": "hunter2\0"}},
        {"env": {"not a name": "hunter2\0"}},
        {"input": {"token": "hunter2", "at": object()}},
        {"input": b"hunter2" * 1000, "tty": True},
    ],
)
def test_what_may_be_a_secret_is_in_no_message(fields: dict[str, Any]) -> None:
    with pytest.raises(RuleViolation) as raised:
        check_request(RunRequest(image="i", **fields))
    assert "hunter2" not in str(raised.value)
