"""The fuzzers, with few examples, and the values that they have failed on."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from fuzz.dockerfiles import check_image, check_step_list
from fuzz.harness import try_examples
from fuzz.regressions import FOLDER, load, save
from fuzz.targets import ENGINE_TARGETS, TARGETS, Target

EXAMPLES = 60


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_example_is_found(target: Target) -> None:
    outcome = try_examples(target, EXAMPLES)
    if outcome.error is not None:
        raise outcome.error
    assert outcome.examples


def regressions() -> list[Any]:
    # What was found with an engine is replayed without one, as far as that goes.
    without_engine = [Target(name, st.nothing(), check_step_list) for name in ENGINE_TARGETS]
    return [
        pytest.param(target, value, id=f"{target.name}-{number}")
        for target in (*TARGETS, *without_engine)
        for number, value in enumerate(load(target.name))
    ]


@pytest.mark.parametrize(("target", "value"), regressions())
def test_what_was_found_once_is_not_found_again(target: Target, value: Any) -> None:
    target.check(value)


def test_every_file_of_regressions_has_its_target() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} <= {*(target.name for target in TARGETS), *ENGINE_TARGETS}


def test_a_finding_is_shrunk_and_kept(tmp_path: Path) -> None:
    def check(values: list[Any]) -> None:
        assert b"\xff" not in values

    outcome = try_examples(Target("example", st.lists(st.binary()), check), 2000)
    assert isinstance(outcome.error, AssertionError)
    assert outcome.failing == [[b"\xff"]]
    for _ in range(2):
        save("example", ["\ud800", b"\xff"], "why", tmp_path)
    assert load("example", tmp_path) == [["\ud800", b"\xff"]]


def test_the_oracle_can_say_no(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(_: str, steps: list[str]) -> tuple[str, ...]:
        return tuple(steps)

    monkeypatch.setattr("fuzz.dockerfiles.check_steps", careless)
    for step in ("a \\", "--mount=type=tmpfs a", '["a"]', "cat <<EOF\nEOF"):
        with pytest.raises(AssertionError):
            check_step_list([step])
    check_step_list(["echo harmless"])
    check_image("alpine:3")
