"""One sentence about a run's end, for a person."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrunner import LightRunnerError, LightRunnerErrorCode, Outcome, RunLimits, RunResult
from lightrunner.rules.explain import Ending, explain


@pytest.mark.parametrize(
    ("outcome", "fields", "sentence"),
    [
        ("exited", {"exit_code": 0}, "exited with code 0 after 5.0 s"),
        ("exited", {"exit_code": 3}, "exited with code 3 after 5.0 s"),
        (
            "exited",
            {"exit_code": 137},
            "exited with code 137 (a shell's code for a child killed by SIGKILL) after 5.0 s",
        ),
        (
            "exited",
            {"exit_code": 1, "oom_killed": True, "memory": 512 * 1024**2},
            "exited with code 1 after 5.0 s; the kernel had killed a process of it for using more than 512 MiB",
        ),
        ("signaled", {"exit_code": 139, "signal": 11}, "killed by SIGSEGV (segmentation fault) after 5.0 s"),
        ("signaled", {"exit_code": 137, "signal": 9}, "killed by SIGKILL after 5.0 s"),
        ("timed_out", {}, "killed after 5.0 s: the time limit"),
        ("cpu_timed_out", {"cpu_timeout": 1.5}, "killed after 5.0 s: the CPU time limit of 1.5 s"),
        ("cpu_timed_out", {}, "killed after 5.0 s: the CPU time limit"),
        (
            "out_of_memory",
            {"oom_killed": True, "memory": 512 * 1024**2},
            "the kernel killed it after 5.0 s for using more than 512 MiB",
        ),
        ("out_of_memory", {}, "the kernel killed it after 5.0 s for using more memory than allowed"),
        ("output_limit", {"output_limit": 1500, "signal": 9}, "killed after 5.0 s: the output limit of 1.465 KiB"),
        ("output_limit", {"output_limit": 100, "signal": 9}, "killed after 5.0 s: the output limit of 100 bytes"),
        ("output_limit", {"signal": 9}, "killed after 5.0 s: the output limit"),
        (
            "output_limit",
            {"exit_code": 0, "output_limit": 100},
            "exited with code 0 after 5.0 s, over the output limit of 100 bytes",
        ),
        ("cancelled", {}, "cancelled after 5.0 s"),
        (
            "signaled",
            {"exit_code": 137, "signal": 9, "oom_killed": True, "memory": 100},
            "killed by SIGKILL after 5.0 s; the kernel had killed a process of it for using more than 100 bytes",
        ),
        ("stopped", {"exit_code": 7}, "stopped after 5.0 s, with code 7"),
        ("stopped", {"signal": 9}, "stopped after 5.0 s, with code 137"),
    ],
)
def test_sentences(outcome: str, fields: dict[str, Any], sentence: str) -> None:
    given: dict[str, Any] = {"exit_code": 137, "signal": None, "duration": 5.0} | fields
    assert explain(Ending(Outcome(outcome), **given)) == sentence


@given(
    st.builds(
        Ending,
        st.sampled_from(Outcome),
        exit_code=st.integers(0, 255),
        signal=st.none() | st.integers(1, 64),
        duration=st.floats(0, 1e9),
        memory=st.integers(0, 2**63),
    )
)
def test_there_is_always_one(ending: Ending) -> None:
    sentence = explain(ending)
    assert sentence
    assert "\n" not in sentence
    assert not sentence.endswith(".")


def test_a_result_explains_itself_and_check_says_the_same() -> None:
    result = RunResult(
        success=False,
        exit_code=137,
        duration=5.04,
        outcome=Outcome.OUT_OF_MEMORY,
        signal=9,
        oom_killed=True,
        limits=RunLimits(memory=32 * 1024**2),
    )
    assert result.explain() == "the kernel killed it after 5.0 s for using more than 32 MiB"
    with pytest.raises(LightRunnerError) as raised:
        result.check()
    assert (raised.value.code, raised.value.message) == (LightRunnerErrorCode.RUN_UNSUCCESSFUL, result.explain())
