"""The remaining time of a detached run, on clocks that jump and after a reboot."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from lightrunner import RunState, read_state
from lightrunner.detached.state import write_state
from tests.detached.state_folder import running, store


class Clocks:
    """Both of the machine's clocks, stopped, and the id of its boot."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.wall = datetime.now(UTC)
        self.since_boot = 1000.0
        self.boot = "this boot"
        patch.setattr("lightrunner.detached.state.datetime", SimpleNamespace(now=self.now, max=datetime.max))  # noqa: DTZ901
        patch.setattr("lightrunner.detached.state.boot_id", lambda: self.boot)
        patch.setattr("lightrunner.detached.state._since_boot", lambda: self.since_boot)

    def now(self, _: object) -> datetime:
        """What `datetime.now` says."""
        return self.wall

    def pass_by(self, seconds: float) -> None:
        """Time as it is meant to be."""
        self.wall += timedelta(seconds=seconds)
        self.since_boot += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


def started(timeout: float | None) -> RunState:
    """A run that has started now, once through the file."""
    write_state(running(timeout=timeout, starting=True).started())
    state = read_state("run-1")
    assert state is not None
    assert not state.starting
    return state


def test_time_passes(clocks: Clocks) -> None:
    state = started(10.0)
    assert state.seconds_left() == pytest.approx(10.0)
    clocks.pass_by(9.0)
    assert state.seconds_left() == pytest.approx(1.0)
    clocks.pass_by(2.0)
    assert state.seconds_left() == pytest.approx(-1.0)


@pytest.mark.parametrize("jump", [timedelta(days=400), timedelta(days=-400)])
def test_the_wall_clock_may_jump(clocks: Clocks, jump: timedelta) -> None:
    state = started(10.0)
    clocks.wall += jump
    clocks.pass_by(4.0)
    assert state.seconds_left() == pytest.approx(6.0)


def test_after_another_boot_the_wall_clock_holds(clocks: Clocks) -> None:
    state = started(1000.0)
    clocks.boot = "the next boot"
    clocks.since_boot = 5.0
    clocks.wall += timedelta(seconds=400.0)
    assert state.seconds_left() == pytest.approx(600.0)


def test_a_start_that_was_not_noted_counts_from_the_file(clocks: Clocks) -> None:
    state = running(timeout=10.0, starting=True, started_at=clocks.wall)
    clocks.pass_by(4.0)
    assert state.seconds_left() == pytest.approx(6.0)


def test_without_a_timeout_there_is_always_time(clocks: Clocks) -> None:
    state = started(None)
    clocks.pass_by(1e9)
    assert state.seconds_left() == math.inf
    assert state.deadline is None


@pytest.mark.parametrize("timeout", [1e12, 1e300])
def test_a_timeout_beyond_the_calendar(clocks: Clocks, state_dir: Path, timeout: float) -> None:
    state = started(timeout)
    clocks.pass_by(1000.0)
    assert state.seconds_left() >= 1e11
    store(state_dir, "run-1", bootDeadline=None)
    by_wall_clock = read_state("run-1")
    assert by_wall_clock is not None
    assert by_wall_clock.seconds_left() >= 1e11
