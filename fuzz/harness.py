"""One target under hypothesis: for a number of examples, or for a time."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from fuzz.targets import Target

EXAMPLES = Path(".hypothesis") / "fuzz"
"""hypothesis' own database: it goes on shrinking there what a run did not finish."""

_PATIENCE = (
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
    HealthCheck.large_base_example,
)
_FEWEST = 5
_BATCH_SECONDS = 5.0
"""Between two looks at the clock."""


class Outcome(NamedTuple):
    """What a run of a target came to; `failing` is the smallest value, as a list of one, where there is one."""

    examples: int
    seconds: float
    failing: list[Any]
    error: Exception | None


def fuzz(target: Target, seconds: float) -> Outcome:
    """Try examples, each batch with another seed, until the time is over or one fails."""
    begin = time.monotonic()
    examples = 0
    batch = _FEWEST
    while True:
        outcome = try_examples(target, batch, EXAMPLES / target.name, random=True)
        examples += outcome.examples
        spent = time.monotonic() - begin
        if outcome.error is not None or spent >= seconds:
            return Outcome(examples, spent, outcome.failing, outcome.error)
        rate = examples / spent
        # It grows slowly: the first examples may all have been refused at once, where one that is not builds an image.
        batch = max(_FEWEST, min(2 * batch, int(rate * min(_BATCH_SECONDS, seconds - spent))))


def try_examples(target: Target, count: int, database: Path | None = None, *, random: bool = False) -> Outcome:
    """Try so many examples, the same ones each time unless `random`. Where one fails it is shrunk first."""
    tried = 0
    failing: list[Any] = []
    error: Exception | None = None

    def check(value: Any) -> None:
        nonlocal tried
        tried += 1
        try:
            target.check(value)
        except Exception:
            failing[:] = [value]  # hypothesis calls the smallest one last.
            raise

    begin = time.monotonic()
    test: Callable[[], None] = settings(
        max_examples=count,
        deadline=None,
        derandomize=not random,
        database=DirectoryBasedExampleDatabase(database) if database is not None and random else None,
        suppress_health_check=_PATIENCE,
        phases=[Phase.reuse, Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
    )(given(target.strategy)(check))
    try:
        test()
    except Exception as raised:  # noqa: BLE001 - whatever the code under test raises is a finding
        error = raised
    return Outcome(tried, time.monotonic() - begin, failing, error)
