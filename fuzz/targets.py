"""All targets by name: the generated values, and the invariant of each."""

from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis.strategies import SearchStrategy

from fuzz import dockerfiles, landing, streams, values
from fuzz.builds import BuilderChecks
from tests.pure import strategies_steps


class Target(NamedTuple):
    """One invariant. Its values are text, bytes, or lists of these, so that a finding can be kept as JSON."""

    name: str
    strategy: SearchStrategy[Any]
    check: Callable[[Any], None]


TARGETS = (
    Target("steps", strategies_steps.step_lists, dockerfiles.check_step_list),
    Target("long-steps", strategies_steps.long_step_lists, dockerfiles.check_step_list),
    Target("harmless", strategies_steps.harmless_steps, dockerfiles.check_harmless),
    Target("images", strategies_steps.image_texts, dockerfiles.check_image),
    Target("archives", landing.archives, landing.check_archive),
    Target("paths", landing.source_paths, landing.check_path),
    Target("values", values.texts, values.check_value),
    Target("frames", streams.framed, streams.check_frames),
    Target("progress", streams.progress, streams.check_progress),
    Target("tar", streams.archives, streams.check_tar),
    Target("lines", streams.lines, streams.check_lines),
)
"""Those that need no engine."""

ENGINE_TARGETS = ("builder-parser", "builder")


def engine_targets(host: str) -> tuple[Target, ...]:
    """Those that need one."""
    checks = BuilderChecks(host)
    parser, builder = ENGINE_TARGETS
    return (
        Target(parser, strategies_steps.step_lists, checks.check_parser),
        Target(builder, strategies_steps.step_lists, checks.check_build),
    )
