"""Log records, and OpenTelemetry's spans and counters: what lightrunner tells of its runs.

Nothing here ever holds what a request holds: no environment, no input, no command, no credentials, and of an error its
code and operation, but not its message, which may quote them. docs/observability.md has the names.

OpenTelemetry is never imported first: a program that uses it has imported it. Without it, each call here is one look
into a dict.
"""

import functools
import logging
import sys
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from .errors import LightRunnerError
from .results import RunResult

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter
    from opentelemetry.trace import Span

NAME: Final = "lightrunner"
RUN_LOGGER: Final = f"{NAME}.run"


class _Ids:
    """The ids that go with each log record of a run. The container's comes later."""

    def __init__(self, run_id: str | None = None, container_id: str | None = None) -> None:
        self.run_id = run_id
        self.container_id = container_id


_ids: ContextVar[_Ids] = ContextVar("lightrunner_ids")


def _add_ids(record: logging.LogRecord) -> bool:
    """Give a record the attributes `run_id` and `container_id`, None outside of a run. A logger's filter."""
    ids = _ids.get(None) or _Ids()
    for name in ("run_id", "container_id"):
        if not hasattr(record, name):
            setattr(record, name, getattr(ids, name))
    return True


def _logger(name: str) -> logging.Logger:
    logger = logging.getLogger(name)
    logger.addFilter(_add_ids)  # A filter holds for records of this very logger, and `NAME` is what other modules use.
    return logger


_logger(NAME)
_log = _logger(RUN_LOGGER)


class Observation:
    """What becomes of one run."""

    def __init__(self, kind: str, ids: _Ids, span: "Span | None") -> None:
        self._kind = kind
        self._ids = ids
        self._span = span

    def ended(self, result: RunResult) -> None:
        """Note the result."""
        _log.info(
            "%s run ended with exit code %d after %.3f s",
            self._kind,
            result.exit_code,
            result.duration,
            extra={"exit_code": result.exit_code, "duration": result.duration},
        )
        self._close("success" if result.success else "unsuccessful", exit_code=result.exit_code)

    def detached(self) -> None:
        """Note that the run goes on by itself."""
        self._close("detached")

    def failed(self, error: BaseException) -> None:
        """Note an error by its code, another exception by its type, and a cancellation."""
        if isinstance(error, LightRunnerError):
            code, operation = str(error.code), error.docker_op
            where = f" in {operation}" if operation is not None else ""
            _log.warning("%s run failed: %s%s", self._kind, code, where, extra={"code": code, "docker_op": operation})
            count("lightrunner.failures", kind=self._kind, code=code)
            self._close("failed", code=code)
        elif isinstance(error, Exception):  # A callback's.
            _log.info("%s run was ended by %s", self._kind, type(error).__name__)
            self._close("ended_by_caller")
        else:
            _log.info("%s run was cancelled", self._kind)
            self._close("cancelled")

    def _close(self, outcome: str, **attributes: str | int) -> None:
        count("lightrunner.runs", kind=self._kind, outcome=outcome)
        if self._span is not None:
            self._span.set_attribute("lightrunner.outcome", outcome)
            for name, value in attributes.items():
                self._span.set_attribute(f"lightrunner.{name}", value)
            if outcome == "failed":
                from opentelemetry.trace import StatusCode  # noqa: PLC0415 - a span exists, so it is imported

                self._span.set_status(StatusCode.ERROR, str(attributes["code"]))


@contextmanager
def observed_run(kind: str, run_id: str, container_id: str | None = None) -> Generator[Observation]:
    """Observe one run: ``cold``, ``warm``, ``detach`` or ``attach``. The log records of the block carry its ids."""
    ids = _Ids(run_id, container_id)
    token = _ids.set(ids)
    try:
        with _span("lightrunner.run", kind=kind, run_id=run_id) as span:
            observation = Observation(kind, ids, span)
            try:
                yield observation
            except BaseException as error:
                observation.failed(error)
                raise
    finally:
        _ids.reset(token)


def container_started(container_id: str) -> None:
    """Note that the current run's container has started."""
    if (ids := _ids.get(None)) is not None:
        ids.container_id = container_id
    _log.info("container started", extra={"container_id": container_id})


@contextmanager
def observed_phase(name: str) -> Generator[None]:
    """Observe a phase of a run: one of the fields of `Timings`."""
    begin = time.monotonic()
    try:
        with _span("lightrunner.run_phase" if name == "run" else f"lightrunner.{name}"):
            yield
    finally:
        count("lightrunner.phase.seconds", time.monotonic() - begin, phase=name)


def count(name: str, amount: float = 1, **attributes: str | bool) -> None:
    """Add to a counter."""
    if "opentelemetry.metrics" in sys.modules:
        _counter(name).add(amount, attributes)


@functools.cache
def _counter(name: str) -> "Counter":
    from opentelemetry import metrics  # noqa: PLC0415 - imported by the program

    return metrics.get_meter(NAME).create_counter(name, unit="s" if name.endswith("seconds") else "1")


def _span(name: str, **attributes: str) -> AbstractContextManager["Span | None"]:
    if "opentelemetry.trace" not in sys.modules:
        return nullcontext()
    from opentelemetry import trace  # noqa: PLC0415 - imported by the program

    # Without the exception, whose message may quote the request.
    return trace.get_tracer(NAME).start_as_current_span(
        name,
        attributes={f"lightrunner.{key}": value for key, value in attributes.items()},
        record_exception=False,
        set_status_on_exception=False,
    )
