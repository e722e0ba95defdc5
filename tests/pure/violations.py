"""Check that a validator refuses a value, and names the field, the value and the reason."""

from collections.abc import Generator
from contextlib import contextmanager

import pytest

from lightrunner.rules.violation import RuleViolation


@contextmanager
def violation(field: str, value: object, match: str | None = None) -> Generator[None]:
    """The block breaks a rule: of exactly this field, with exactly this value, for the reason that `match` finds."""
    with pytest.raises(RuleViolation, match=match) as caught:
        yield
    assert (caught.value.field, caught.value.value) == (field, value)
    assert str(caught.value).startswith(f"{field}=")
