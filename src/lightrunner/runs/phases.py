"""A run's id, and the clock of its phases."""

import uuid
from collections.abc import Generator
from contextlib import contextmanager

import trio

from lightrunner.results import Timings
from lightrunner.telemetry import observed_phase

from .measure import Measured


class Phases:
    """The id of one run, and how long its phases take.

    Attributes:
        id: the run's id.
        timings: seconds per phase.
        measured: how the run is measured; None: it is not.
    """

    def __init__(self, run_id: str = "") -> None:
        self.id = run_id or str(uuid.uuid4())
        self.timings = Timings()
        self.measured: Measured | None = None

    @contextmanager
    def phase(self, name: str) -> Generator[None]:
        """Add the duration of the block to the field `name` of `timings`."""
        begin = trio.current_time()
        try:
            with observed_phase(name):
                yield
        finally:
            setattr(self.timings, name, getattr(self.timings, name) + trio.current_time() - begin)
