"""Server-sent events: entries of a backlog -> bytes (WHATWG HTML, 9.2). Pure.

The data of each event is one line of JSON, since an event's data cannot have line ends of its own.
"""

from typing import Literal

import msgspec

from .backlog import Entry

END_ID = "end"
"""The id of the last event. A browser's EventSource that connects again with it gets 204, and stops."""

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment. Proxies close connections on which nothing comes."""

Encoding = Literal["base64", "text"]


def output_event(entry: Entry, encoding: Encoding) -> bytes:
    """Return the event of a chunk; none if it has nothing in this encoding."""
    content: dict[str, object] = {"time": round(entry.time, 6)}
    if encoding == "text":
        content["text"] = entry.text
        is_empty = not content["text"]
    else:
        content["base64"] = entry.data
        is_empty = not entry.data
    return b"" if is_empty else event(entry.stream, content, id=str(entry.id))


def lost_event(count: int) -> bytes:
    """Return the event for chunks that were dropped before the reader got them."""
    return event("lost", {"chunks": count})


def event(name: str, content: object, *, id: str | None = None) -> bytes:  # noqa: A002 - the protocol's name
    """Return an event."""
    head = f"id: {id}\n" if id is not None else ""
    return b"%sevent: %s\ndata: %s\n\n" % (head.encode(), name.encode(), msgspec.json.encode(content))
