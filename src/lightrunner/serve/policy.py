"""What clients may ask for: the server's maxima, which no request exceeds. Pure."""

import math
from collections.abc import Sequence

import msgspec

from lightrunner.rules.limits import DEFAULT_TIMEOUT, GIB, MIB
from lightrunner.rules.sizes import parse_byte_limit, parse_count, parse_timeout
from lightrunner.rules.violation import RuleViolation


class ServePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a server. Those of a container, such as its memory, are the runner's options.

    Attributes:
        max_concurrent: how many runs at once; further runs wait.
        max_queued: how many runs may wait; further ones are refused with 429.
        max_timeout: seconds; a request cannot have a longer time-out, nor none.
        max_cpu_timeout: seconds of CPU time, likewise; None: no maximum.
        max_output: bytes of output, likewise; None: no maximum.
        images: shell patterns for images; empty: any image.
        networks: the named networks that requests may use, beside the isolated bridge and ``none``.
        allow_setup: accept setup steps, whose build has none of the sandbox's limits.
        max_body_bytes: of a JSON body.
        max_seed_bytes: of an uploaded archive, headers included.
        max_seeds: how many uploaded archives to keep.
        max_seed_files: files and folders of one archive or request.
        max_extracts: entries of a request's `extract`.
        max_files_bytes: of all runs' extracted files together. The oldest runs' are removed first.
        backlog_bytes: how much of a run's output to keep for readers.
        keep_time: seconds to keep a finished run, its files included, and an archive that no request names.
        max_finished: how many finished runs to keep.
    """

    max_concurrent: int = 4
    max_queued: int = 32
    max_timeout: float = DEFAULT_TIMEOUT
    max_cpu_timeout: float | None = None
    max_output: int | None = None
    images: Sequence[str] = ()
    networks: Sequence[str] = ()
    allow_setup: bool = False
    max_body_bytes: int = 16 * MIB
    max_seed_bytes: int = 256 * MIB
    max_seeds: int = 16
    max_seed_files: int = 20_000
    max_extracts: int = 16
    max_files_bytes: int = GIB
    backlog_bytes: int = 4 * MIB
    keep_time: float = 600.0
    max_finished: int = 100


def check_policy(policy: ServePolicy) -> None:
    """Check a policy.

    Raises:
        RuleViolation: a limit is not a number above 0, or `max_timeout` is none.
    """
    for name in ("max_concurrent", "max_seeds", "max_seed_files", "max_extracts", "max_finished"):
        parse_count(name, getattr(policy, name))
    if policy.max_queued != 0:
        parse_count("max_queued", policy.max_queued)
    for name in ("max_body_bytes", "max_seed_bytes", "max_files_bytes", "backlog_bytes"):
        parse_byte_limit(name, getattr(policy, name))
    if math.isinf(parse_timeout("max_timeout", policy.max_timeout)):
        raise RuleViolation("max_timeout", policy.max_timeout, "not a number of seconds")
    parse_timeout("keep_time", policy.keep_time)
    if policy.max_cpu_timeout is not None:
        parse_timeout("max_cpu_timeout", policy.max_cpu_timeout)
    if policy.max_output is not None:
        parse_byte_limit("max_output", policy.max_output)
