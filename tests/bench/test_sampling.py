"""Contenders take turns, and goals compare them."""

import random

import pytest

from bench import sampling
from bench.report import Report, case_lines, goal_text
from bench.sampling import Case, Contender, Goal, Sample, blocking, measure


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "PAUSE", 0.0)


def contenders(turns: list[str]) -> dict[str, Contender]:
    def contender(name: str) -> Contender:
        def sample() -> Sample:
            turns.append(name)
            return Sample(len(turns), {"all": len(turns)})

        return blocking(sample)

    return {name: contender(name) for name in "abc"}


async def test_each_round_has_everybody_once_and_the_first_does_not_count() -> None:
    turns: list[str] = []
    seen: list[int] = []
    series = await measure(Case("c", "C", contenders(turns), rounds=20), random.Random(0), seen.append)  # noqa: S311
    rounds = [tuple(turns[at : at + 3]) for at in range(0, len(turns), 3)]
    assert seen == list(range(21))
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds)
    assert len(set(rounds)) > 1, "shuffled"
    assert [len(samples) for samples in series.values()] == [20, 20, 20]
    assert min(sample.value for samples in series.values() for sample in samples) == 4


async def test_a_report_tells_whether_goals_were_met() -> None:
    case = Case(
        "c",
        "C",
        {"a": blocking(lambda: Sample(1.0, {"all": 1.0})), "b": blocking(lambda: Sample(2.0, {"all": 2.0}))},
        rounds=3,
        goals=(
            Goal("a", "b", 0.6),
            Goal("a", "b", 0.4, phase="all"),
            Goal("b", None, 2.5, at_least=True),
            Goal("a", "nobody", 1.0),
        ),
    )
    report = Report(where={}, missing={}, quick=True)
    done = report.add(case, await measure(case, random.Random(0), lambda _: None))  # noqa: S311
    assert [str(verdict) for verdict in done.verdicts] == ["met", "missed", "missed"]
    assert [verdict.seen.value for verdict in done.verdicts] == [0.5, 0.5, 2.0]
    assert "| b | 2000 | 2000-2000 | 2000 | 2000-2000 | 2 | 2-2 | 2000 |" in list(case_lines(done))


async def test_a_report_tells_where_the_noise_is_too_much() -> None:
    values = iter(range(100, 200))
    case = Case(
        "c",
        "C",
        {"a": blocking(lambda: Sample(next(values)))},
        rounds=10,
        goals=(
            Goal("a", None, 105.6),
            Goal("a", None, 105.4),
            Goal("a", None, 200),
            Goal("a", None, 200, at_least=True),
        ),
    )
    done = Report(where={}, missing={}, quick=True).add(case, await measure(case, random.Random(0), lambda _: None))  # noqa: S311
    assert [str(it) for it in done.verdicts] == ["met, within the noise", "missed, within the noise", "met", "missed"]


async def test_a_phase_may_be_held_against_the_whole_of_another() -> None:
    case = Case(
        "c",
        "C",
        {"a": blocking(lambda: Sample(3.0, {"first": 1.0})), "b": blocking(lambda: Sample(10.0, {"first": 4.0}))},
        rounds=2,
        goals=(Goal("a", "b", 0.2, phase="first", whole_base=True), Goal("a", "b", 0.2, phase="first")),
    )
    done = Report(where={}, missing={}, quick=True).add(case, await measure(case, random.Random(0), lambda _: None))  # noqa: S311
    assert [verdict.seen.value for verdict in done.verdicts] == pytest.approx([0.1, 0.25])
    assert [verdict.met for verdict in done.verdicts] == [True, False]


async def test_what_else_was_seen_has_a_column_of_its_own() -> None:
    case = Case("c", "C", {"a": blocking(lambda: Sample(1.0, extra={"open files": 7.0}))}, rounds=2)
    done = Report(where={}, missing={}, quick=True).add(case, await measure(case, random.Random(0), lambda _: None))  # noqa: S311
    lines = list(case_lines(done))
    assert lines[2].endswith(" open files |")
    assert lines[4].endswith(" 7 |")
    assert lines[3].count("|") == lines[2].count("|") == lines[4].count("|")


def test_goals_in_words() -> None:
    assert goal_text(Goal("a", "b", 1.05, phase="seed"), "s") == "a, seed <= 1.05 x b"
    assert goal_text(Goal("a", "b", 0.01, phase="first", whole_base=True), "s") == "a, first <= 0.01 x b, whole"
    assert goal_text(Goal("a", None, 5.0, at_least=True), "GB/s") == "a >= 5 GB/s"
