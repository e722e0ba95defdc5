"""All validators on any value.

Invariant: whatever the value is, a validator returns the engine's form of it, or raises RuleViolation that names its
field, and whose text can be shown; never another exception.
"""

import math
from collections.abc import Callable

import pytest
from hypothesis import given

from lightrunner.rules import members, names, sizes
from lightrunner.rules.limits import MAX_MEMORY_BYTES, MAX_PATH_BYTES, MIN_MEMORY_BYTES
from lightrunner.rules.violation import RuleViolation

from .strategies import any_values

Validator = Callable[[str, object], object]

VALIDATORS: dict[str, Validator] = {
    "image": names.parse_image,
    "env": names.parse_env,
    "network": names.check_network,
    "runtime": names.check_runtime,
    "workdir": names.parse_workdir,
    "from_": lambda field, value: names.parse_extract_source(field, value, "/app"),
    "to": names.parse_extract_target,
    "dir": names.parse_host_path,
    "ignore": members.check_ignore,
    "memory": sizes.parse_memory,
    "cpus": sizes.parse_cpus,
    "gpus": sizes.parse_gpus,
    "timeout": sizes.parse_timeout,
    "max_age": sizes.parse_age,
    "size": sizes.parse_count,
    "max_extract_bytes": sizes.parse_byte_limit,
}


@pytest.mark.parametrize("field", VALIDATORS)
@given(value=any_values)
def test_returns_or_names_its_field(field: str, value: object) -> None:
    refusal: RuleViolation | None = None
    try:
        VALIDATORS[field](field, value)
    except RuleViolation as violation:
        refusal = violation
    if refusal is not None:
        assert refusal.field.startswith(field)
        assert str(refusal).startswith(f"{refusal.field}=")
        assert str(refusal).endswith(refusal.reason)


@given(any_values)
def test_what_is_accepted_can_be_sent(value: object) -> None:
    """The engine's form of any value that is accepted is one that the engine can read."""
    if (path := accepted(names.parse_workdir, value)) is not None:
        assert isinstance(path, str)
        assert path.startswith("/")
        assert not {"", ".", ".."} & set(path[1:].split("/"))
        assert len(path.encode()) <= MAX_PATH_BYTES
    if (size := accepted(sizes.parse_memory, value)) is not None:
        assert isinstance(size, int)
        assert MIN_MEMORY_BYTES <= size <= MAX_MEMORY_BYTES
    if (nano := accepted(sizes.parse_cpus, value)) is not None:
        assert isinstance(nano, int)
        assert 10**7 <= nano < 2**63
    if (seconds := accepted(sizes.parse_timeout, value)) is not None:
        assert isinstance(seconds, float)
        assert 0 < seconds <= math.inf


def accepted(validator: Validator, value: object) -> object:
    try:
        return validator("field", value)
    except RuleViolation:
        return None
