"""The header that carries a trace on to the daemon, if the program traces."""

import sys


def trace_headers() -> tuple[tuple[bytes, bytes], ...]:
    """Return ``traceparent``, and ``tracestate`` if there is one, of OpenTelemetry's current span; else nothing.

    OpenTelemetry is never imported first: a span can only be current in a program that has imported it. Without it this
    is one look into a dict. (Baggage is not passed on: it may hold anything.)
    """
    if "opentelemetry.trace" not in sys.modules:
        return ()
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - see above

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return tuple((name.encode("ascii"), value.encode("ascii")) for name, value in carrier.items())
