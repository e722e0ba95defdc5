"""Record when each cache image was last used: ``<state folder>/cache-usage.json``, tag -> milliseconds since the epoch.

Synchronous. Several processes may write at once. A file that cannot be decoded counts as empty, and the images' times
of creation count instead.
"""

import logging
import time
from collections.abc import Callable

import msgspec

from lightrunner.host.state_dir import locked, make_state_dir, state_dir, write_atomically

_log = logging.getLogger("lightrunner")
_FILE = "cache-usage.json"
_LOCK = "cache-usage.lock"
_MILLISECONDS = 1000

_decoder = msgspec.json.Decoder(dict[str, float])


def record_use(tag: str) -> None:
    """Record that a tag is in use. A failed write is logged, and does not fail the run."""
    try:
        _update(lambda usage: usage | {tag: round(time.time() * _MILLISECONDS)})
    except OSError as error:
        _log.warning("the use of the cache image %s could not be recorded: %s", tag, error)


def forget(tags: set[str]) -> None:
    """Remove the entries of removed images."""
    try:
        _update(lambda usage: {tag: when for tag, when in usage.items() if tag not in tags})
    except OSError as error:
        _log.warning("the entries of removed cache images could not be removed from %s: %s", _FILE, error)


def last_uses() -> dict[str, float]:
    """Return the time of each tag's last use, in seconds since the epoch."""
    return {tag: when / _MILLISECONDS for tag, when in _read().items()}


def _update(change: Callable[[dict[str, float]], dict[str, float]]) -> None:
    folder = make_state_dir()
    with locked(folder / _LOCK):
        write_atomically(folder / _FILE, msgspec.json.encode(change(_read())))


def _read() -> dict[str, float]:
    try:
        return _decoder.decode((state_dir() / _FILE).read_bytes())
    except FileNotFoundError:
        pass
    except OSError as error:
        _log.warning("the uses of cache images could not be read: %s", error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _log.warning("%s could not be decoded and counts as empty: %s", _FILE, error)
    return {}
