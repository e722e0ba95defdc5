"""Archives and paths, extracted on a real file system to a folder with hostile links.

Invariant: whatever the archive and the path, nothing outside of the target changes, nothing but plain files and folders
appears in it, and a refusal leaves it as it was.
"""

import os
import posixpath
import re
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from fuzz.refusal import unless_refused
from lightrunner.files.staging import Staging, StagingError
from lightrunner.rules.names import parse_extract_source
from lightrunner.rules.violation import RuleViolation
from tests.files.archives import (
    CHARACTER_DEVICE,
    FILE,
    FOLDER,
    HARD_LINK,
    NO_LIMIT,
    PIPE,
    STAGED_NAME,
    SYMLINK,
    Entry,
    archive,
    land,
    picture,
)
from tests.pure.strategies import hostile_archives, member_names

_LIMIT = 64 * 1024
_PLAIN = re.compile("[-d][-rwx]{9} ")
# The names that `_laid_out` has laid out, and those that lead out of the target.
_parts = st.sampled_from(
    ["a", "b", "c", "d", "e", "f", "new", "..", ".", "", "result", STAGED_NAME, "secret", "\udcff", "é" * 127]
)
_member_names = st.lists(_parts, max_size=4).map(lambda parts: "/".join(["root", *parts])) | member_names
_links = st.sampled_from(["../outside/secret", "/etc/passwd", "root/a", "root/c", "root/d/new", "root", "..", ""])
_kinds = st.sampled_from([FILE, FILE, FOLDER, SYMLINK, HARD_LINK, CHARACTER_DEVICE, PIPE])
_modes = st.sampled_from([0o644, 0o4755, 0o0, 0o7777])
_entries = st.tuples(_member_names, _kinds, st.binary(max_size=20), _links | _member_names, _modes).map(
    lambda fields: Entry(*fields)
)
archives: SearchStrategy[bytes] = (
    st.lists(_entries, max_size=5).map(lambda entries: archive(Entry("root", FOLDER), *entries))
    | st.lists(_entries, min_size=1, max_size=4).map(lambda entries: archive(*entries))
    | hostile_archives
)
source_paths: SearchStrategy[str] = st.lists(_parts, max_size=5).map("/".join) | st.text(max_size=20)


def check_archive(data: bytes) -> None:
    """An archive lands in its target, or not at all."""
    with _laid_out() as base:
        _check_landing(base, lambda: land(base / "to", data, limit=_LIMIT))


def check_path(text: str) -> None:
    """A file from an accepted path lands in the target, under the last part of its path."""
    path = unless_refused(RuleViolation, parse_extract_source, "from_", text, "/app")
    if path is None:
        return
    assert posixpath.normpath(path) == path
    name = posixpath.basename(path)

    def extract() -> None:
        with Staging(str(base / "to"), STAGED_NAME, name, NO_LIMIT) as staging:
            staging.feed([archive(Entry("file", content=b"new"))])
            staging.land()
        assert (base / "to" / name).read_bytes() == b"new"

    with _laid_out() as base:
        _check_landing(base, extract)


def _check_landing(base: Path, extract: Callable[[], object]) -> None:
    before = picture(base)

    def landed() -> bool:
        extract()
        return True

    has_landed = unless_refused(StagingError, landed)
    after = picture(base)
    changed = {name: portrait for name, portrait in after.items() if before.get(name) != portrait}
    assert after.keys() >= before.keys()
    assert has_landed or not changed, changed
    assert all(name.startswith("to/") and _PLAIN.match(portrait) for name, portrait in changed.items()), changed


@contextmanager
def _laid_out() -> Generator[Path]:
    """A target with links in it of every kind, and what they lead to, which is not to change."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "outside" / "folder").mkdir(parents=True)
        (base / "outside" / "secret").write_bytes(b"secret")
        (base / "to" / "d" / "c").mkdir(parents=True)
        (base / "to" / "a").symlink_to("../outside/secret")
        (base / "to" / "b").symlink_to("../outside/folder")
        (base / "to" / "c").write_bytes(b"a file")
        (base / "to" / "e").symlink_to("../outside/not there")
        os.link(base / "outside" / "secret", base / "to" / "f")
        (base / "to" / "d" / "a").symlink_to(base / "outside" / "folder")
        (base / "to" / "d" / "new").symlink_to("../../outside/secret")
        yield base
