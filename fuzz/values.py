"""Names, paths, sizes and platforms of a request.

Invariant: any value yields a value in the engine's form or RuleViolation with a message, never another exception.
"""

import os
import posixpath
import re
from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from fuzz.refusal import unless_refused
from lightrunner.rules import names, sizes
from lightrunner.rules.dockerfile import check_platform
from lightrunner.rules.violation import RuleViolation

_CHECKS: tuple[Callable[[str, object], object], ...] = (
    names.parse_image,
    names.parse_env,
    names.check_network,
    names.check_runtime,
    names.parse_workdir,
    names.parse_host_path,
    names.parse_extract_target,
    sizes.parse_memory,
    sizes.parse_cpus,
    sizes.parse_gpus,
    sizes.parse_timeout,
    sizes.parse_byte_limit,
    check_platform,
)
_path_parts = st.sampled_from(["/", "//", "..", ".", "a", "é", "\udcff", "\ud800", "\0", "x" * 256, "~"])
texts: SearchStrategy[str] = st.one_of(
    st.text(st.characters(), max_size=40),
    st.text("0123456789.eE+-kKmMgGiIbB =,_/:@", max_size=12),
    st.lists(_path_parts, max_size=20).map("".join),
    st.sampled_from(["host", "none", "container:x", "all", "count=all,capabilities=gpu", "device=0,1", "1e400"]),
)


def check_value(text: str) -> None:
    """Every validator of a field takes the text or refuses it; what a path validator takes is a path of the system."""
    for check in _CHECKS:
        unless_refused(RuleViolation, check, "field", text)
    if path := unless_refused(RuleViolation, names.parse_workdir, "field", text):
        assert posixpath.normpath(path) == path
        assert re.fullmatch("(/[^/\0]+)+", path, re.DOTALL)
        assert len(path.encode()) < os.pathconf("/", "PC_PATH_MAX")
    for parse in (names.parse_host_path, names.parse_extract_target):
        if path := unless_refused(RuleViolation, parse, "field", text):
            os.path.lexists(path)  # ValueError: the system cannot have such a name.
