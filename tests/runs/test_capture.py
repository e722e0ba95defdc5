"""`capture_output`: the exact bytes of each stream, up to 8 MiB, and a flag if there was more."""

import pytest

from lightrunner import LogLine, RunRequest
from tests.runs.shell_runs import Run, shell

CAP = 8 * 1024 * 1024
ALL_BYTES = 'for n in $(seq 0 255); do printf "\\\\$(printf %03o $n)"; done'
"""A script that writes each byte once."""


async def test_each_stream_byte_for_byte(run: Run, busybox: str) -> None:
    result = await run(shell(busybox, f"{ALL_BYTES}; {{ {ALL_BYTES}; {ALL_BYTES}; }} >&2"))
    assert result.stdout == bytes(range(256))
    assert result.stderr == bytes(range(256)) * 2
    assert (result.stdout_truncated, result.stderr_truncated) == (False, False)


async def test_silence_is_empty_and_not_asked_for_is_none(run: Run, busybox: str) -> None:
    asked = await run(shell(busybox, "true"))
    assert (asked.stdout, asked.stderr) == (b"", b"")
    unasked = await run(RunRequest(image=busybox, entrypoint="echo one; echo two >&2", network="none"))
    assert (unasked.stdout, unasked.stderr) == (None, None)


@pytest.mark.parametrize(("size", "truncated"), [(CAP - 1, False), (CAP, False), (CAP + 1, True), (5 * CAP, True)])
async def test_what_is_over_8_mib_is_cut_and_flagged(run: Run, busybox: str, size: int, *, truncated: bool) -> None:
    result = await run(shell(busybox, f"head -c {size} /dev/zero; printf short >&2"))
    assert result.stdout is not None
    assert len(result.stdout) == min(size, CAP)
    assert (result.stdout_truncated, result.stderr_truncated, result.stderr) == (truncated, False, b"short")


async def test_a_callback_gets_its_lines_beside_it(run: Run, busybox: str) -> None:
    lines: list[LogLine] = []
    result = await run(shell(busybox, "echo one; echo two >&2"), on_log=lines.append)
    assert (result.stdout, result.stderr) == (b"one\n", b"two\n")
    assert sorted(line.text for line in lines) == ["one", "two"]


async def test_what_a_failed_run_has_written_is_kept(run: Run, busybox: str) -> None:
    result = await run(shell(busybox, "echo why >&2; exit 9"))
    assert (result.exit_code, result.stderr) == (9, b"why\n")
