"""The verdict: one outcome for whatever is known about the end of a run, by the documented precedence."""

import itertools
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrunner.rules.verdict import (
    FAULTS,
    Evidence,
    Outcome,
    Status,
    Verdict,
    is_success,
    is_unexplained,
    judge,
    reported_signal,
    signal_name,
)

OURS = (Outcome.TIMED_OUT, Outcome.CPU_TIMED_OUT, Outcome.OUTPUT_LIMIT, Outcome.CANCELLED)
ASKED = (Outcome.CANCELLED, Outcome.STOPPED)
KILLED = 137

evidences = st.builds(
    Evidence,
    exit_code=st.integers(0, 255) | st.just(KILLED),
    killed_for=st.none() | st.sampled_from(OURS),
    asked_for=st.none() | st.sampled_from(ASKED),
    over_output_limit=st.booleans(),
    oom_killed=st.booleans(),
    killed_by_others=st.booleans(),
    status=st.none(),
)


@pytest.mark.parametrize(
    ("evidence", "outcome", "number"),
    [
        (Evidence(0), Outcome.EXITED, None),
        (Evidence(3), Outcome.EXITED, None),
        (Evidence(255), Outcome.EXITED, None),
        # Process 1 cannot be killed from inside: 137 is its own, and so is a shell's code for a terminated child.
        (Evidence(KILLED), Outcome.EXITED, None),
        (Evidence(143), Outcome.EXITED, None),
        (Evidence(134), Outcome.EXITED, None),
        (Evidence(139), Outcome.SIGNALED, 11),
        (Evidence(136), Outcome.SIGNALED, 8),
        (Evidence(KILLED, killed_by_others=True), Outcome.SIGNALED, 9),
        (Evidence(KILLED, oom_killed=True), Outcome.OUT_OF_MEMORY, 9),
        (Evidence(KILLED, oom_killed=True, killed_by_others=True), Outcome.OUT_OF_MEMORY, 9),
        # A killed child under a living parent.
        (Evidence(0, oom_killed=True), Outcome.EXITED, None),
        (Evidence(1, oom_killed=True), Outcome.EXITED, None),
        (Evidence(139, oom_killed=True), Outcome.SIGNALED, 11),
        # A time-out while the OOM killer works.
        (Evidence(KILLED, Outcome.TIMED_OUT, oom_killed=True), Outcome.TIMED_OUT, 9),
        (Evidence(KILLED, Outcome.CPU_TIMED_OUT), Outcome.CPU_TIMED_OUT, 9),
        # The process was quicker than the signal.
        (Evidence(0, Outcome.TIMED_OUT), Outcome.EXITED, None),
        (Evidence(139, Outcome.TIMED_OUT), Outcome.SIGNALED, 11),
        (Evidence(0, Outcome.OUTPUT_LIMIT, over_output_limit=True), Outcome.OUTPUT_LIMIT, None),
        (Evidence(0, over_output_limit=True), Outcome.OUTPUT_LIMIT, None),
        (Evidence(KILLED, Outcome.TIMED_OUT, over_output_limit=True), Outcome.TIMED_OUT, 9),
        (Evidence(KILLED, Outcome.CANCELLED, Outcome.CANCELLED), Outcome.CANCELLED, 9),
        # A cancellation of what had exited, while its files were extracted.
        (Evidence(0, None, Outcome.CANCELLED), Outcome.CANCELLED, None),
        (Evidence(7, None, Outcome.STOPPED), Outcome.STOPPED, None),
        (Evidence(KILLED, None, Outcome.STOPPED), Outcome.STOPPED, 9),
        # As process 1 of ours saw it: no guess is needed.
        (Evidence(KILLED, status=Status(None, 9)), Outcome.SIGNALED, 9),
        (Evidence(KILLED, status=Status(KILLED, None)), Outcome.EXITED, None),
        (Evidence(139, status=Status(139, None)), Outcome.EXITED, None),
        (Evidence(143, status=Status(None, 15)), Outcome.SIGNALED, 15),
        (Evidence(KILLED, oom_killed=True, status=Status(None, 9)), Outcome.OUT_OF_MEMORY, 9),
        (Evidence(KILLED, oom_killed=True, status=Status(KILLED, None)), Outcome.EXITED, None),
        (Evidence(KILLED, Outcome.TIMED_OUT, status=Status(None, 9)), Outcome.SIGNALED, 9),
        # The time-out within the grace of a stop.
        (Evidence(KILLED, Outcome.TIMED_OUT, Outcome.STOPPED), Outcome.TIMED_OUT, 9),
    ],
)
def test_what_ended_it(evidence: Evidence, outcome: Outcome, number: int | None) -> None:
    assert judge(evidence) == Verdict(outcome, number)


@given(evidences)
def test_one_rule_decides_and_the_earlier_one_wins(evidence: Evidence) -> None:
    outcome, number = judge(evidence)
    was_killed = evidence.exit_code == KILLED
    if evidence.killed_for is not None and was_killed:
        assert outcome is evidence.killed_for
    elif evidence.over_output_limit:
        assert outcome is Outcome.OUTPUT_LIMIT
    elif evidence.asked_for is not None:
        assert outcome is evidence.asked_for
    elif was_killed and evidence.oom_killed:
        assert outcome is Outcome.OUT_OF_MEMORY
    else:
        assert outcome in {Outcome.EXITED, Outcome.SIGNALED}
    assert number is None or evidence.exit_code == 128 + number
    assert outcome is not Outcome.SIGNALED or number in {*FAULTS, 9}
    assert outcome is not Outcome.EXITED or number is None


@given(evidences)
def test_each_outcome_needs_its_evidence(evidence: Evidence) -> None:
    outcome = judge(evidence).outcome
    assert outcome is not Outcome.OUT_OF_MEMORY or evidence.oom_killed
    assert outcome not in {Outcome.TIMED_OUT, Outcome.CPU_TIMED_OUT} or evidence.killed_for is outcome
    assert outcome is not Outcome.STOPPED or evidence.asked_for is outcome
    assert outcome is not Outcome.CANCELLED or outcome in {evidence.killed_for, evidence.asked_for}


@given(evidences)
def test_only_what_exits_with_0_by_itself_is_a_success(evidence: Evidence) -> None:
    assert is_success(evidence) == (evidence.exit_code == 0 and judge(evidence).outcome is Outcome.EXITED)


@given(evidences)
def test_what_comes_late_changes_only_what_nothing_explains(evidence: Evidence) -> None:
    before = judge(evidence).outcome
    late = [evidence._replace(oom_killed=True), evidence._replace(killed_by_others=True)]
    changes = any(judge(each).outcome is not before for each in late)
    # With one of the two at hand, only an OOM kill of what somebody else has killed is still open.
    if not (evidence.killed_by_others or evidence.oom_killed):
        assert is_unexplained(evidence) == changes


@given(evidences, st.integers(0, 255), st.none() | st.integers(1, 64))
def test_what_process_1_reports_is_not_guessed(evidence: Evidence, code: int, signal: int | None) -> None:
    evidence = evidence._replace(status=Status(None if signal else code, signal))
    verdict = judge(evidence)
    assert verdict.signal == signal
    assert verdict.outcome is not Outcome.EXITED or signal is None
    assert not is_unexplained(evidence)


def test_every_outcome_can_be() -> None:
    seen = {
        judge(Evidence(code, killed_for, asked_for, over, oom)).outcome
        for code, killed_for, asked_for, over, oom in itertools.product(
            (0, KILLED, 139), (None, *OURS), (None, *ASKED), (False, True), (False, True)
        )
    }
    assert seen == set(Outcome)


@pytest.mark.parametrize(("code", "number"), [(0, None), (128, None), (129, 1), (192, 64), (193, None), (255, None)])
def test_the_signal_of_an_exit_code(code: int, number: int | None) -> None:
    assert reported_signal(code) == number


def test_names_of_signals_are_linux_own() -> None:
    own = {each.value: each.name for each in signal.Signals if each.value <= 31}
    assert {number: signal_name(number) for number in own} | {29: "SIGIO"} == own | {29: "SIGIO"}
    assert signal_name(16) == "SIGSTKFLT"
    assert signal_name(40) == "signal 40"
