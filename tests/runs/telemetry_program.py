"""A program that traces and counts its runs, for `test_telemetry`: what it collects goes to stdout as JSON."""

import json
import logging
import sys
from contextlib import suppress

import trio
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from lightrunner import DockerRunner, LightRunnerError, RunRequest
from lightrunner.engine.tracing import trace_headers

SECRET = "hunter2"  # noqa: S105 - it has to appear nowhere


class Records(logging.Handler):
    """Keeps each record's attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[dict[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.kept.append({"text": record.getMessage(), **{name: str(value) for name, value in vars(record).items()}})


async def runs(host: str, image: str) -> None:
    """A run that succeeds, one that fails before its start, one that is cancelled, and a warm one."""
    request = RunRequest(
        image=image, entrypoint=f"cat; echo {SECRET}", input=SECRET, env={"TOKEN": SECRET}, network="none"
    )
    async with DockerRunner(host=host) as runner:
        await runner.run(request)
        with suppress(LightRunnerError):
            await runner.run(RunRequest(image=image, entrypoint=SECRET, env={"TOKEN": SECRET}, network="no-such"))
        with trio.move_on_after(1):
            await runner.run(RunRequest(image=image, entrypoint="sleep 60", network="none"))
        async with runner.warm(request, size=1) as pool:
            await pool.run(request)


def main() -> None:
    """Collect, and print."""
    spans, reader, records = InMemorySpanExporter(), InMemoryMetricReader(), Records()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))
    logging.getLogger("lightrunner").addHandler(records)
    logging.getLogger("lightrunner").setLevel(logging.DEBUG)
    with trace.get_tracer("program").start_as_current_span("program"):
        headers = [[name.decode(), value.decode()] for name, value in trace_headers()]
        trio.run(runs, sys.argv[1], sys.argv[2])
    collected = {
        "headers": headers,
        "spans": [json.loads(span.to_json()) for span in spans.get_finished_spans()],
        "metrics": json.loads(reader.get_metrics_data().to_json()),  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
        "records": records.kept,
    }
    print(json.dumps(collected))  # noqa: T201


if __name__ == "__main__":
    main()
