"""The pause program: an ELF file that a kernel starts, and instructions that loop for ever in one system call."""

import platform
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest

from lightrunner.rules.pause import pause_program

# Another reading than the writer's: offsets into the file, from elf(5).
ENTRY, SEGMENT = 0x18, 0x40
X86_64 = {
    "b822000000": "mov eax, 34 (pause)",
    "0f05": "syscall",
    "ebf7": "jmp, 9 bytes back",
}
ARM64 = {
    "000080d2": "mov x0, #0",
    "010080d2": "mov x1, #0",
    "020080d2": "mov x2, #0",
    "030080d2": "mov x3, #0",
    "280980d2": "mov x8, #73 (ppoll)",
    "010000d4": "svc #0",
    "faffff17": "b, 6 instructions back",
}


def code(program: bytes) -> bytes:
    """The instructions, from where the program starts to the end of what is loaded."""
    offset, address, _, size = struct.unpack_from("<QQQQ", program, SEGMENT + 0x08)
    (entry,) = struct.unpack_from("<Q", program, ENTRY)
    return program[offset + entry - address : offset + size]


@pytest.mark.parametrize(("architecture", "machine"), [("amd64", 0x3E), ("arm64", 0xB7)])
def test_it_is_a_static_program_for_its_architecture(architecture: str, machine: int) -> None:
    program = pause_program(architecture)
    assert program is not None
    assert program[:8] == b"\x7fELF\x02\x01\x01\x00"  # 64 bits, little-endian, version 1, System V
    assert struct.unpack_from("<HHI", program, 0x10) == (2, machine, 1)  # ET_EXEC
    segments_at, header_size, segment_size, segments = (
        *struct.unpack_from("<Q", program, 0x20),
        *struct.unpack_from("<HHH", program, 0x34),
    )
    assert (segments_at, header_size, segment_size, segments) == (SEGMENT, 64, 56, 1)
    kind, flags, offset, address, _, in_file, in_memory, align = struct.unpack_from("<IIQQQQQQ", program, SEGMENT)
    assert (kind, flags, in_file, in_memory) == (1, 0b101, len(program), len(program))  # PT_LOAD, readable, executable
    assert address % 0x10000 == offset % 0x10000 == 0, "arm64 kernels may have pages of 64 KiB"
    assert address % align == 0


def test_a_page_is_more_than_enough() -> None:
    assert all(len(pause_program(architecture) or b"") in range(120, 200) for architecture in ("amd64", "arm64"))


@pytest.mark.parametrize(("architecture", "instructions"), [("amd64", X86_64), ("arm64", ARM64)])
def test_it_starts_at_a_loop_of_one_system_call(architecture: str, instructions: dict[str, str]) -> None:
    program = pause_program(architecture)
    assert program is not None
    assert code(program).hex() == "".join(instructions)


@pytest.mark.parametrize("architecture", ["", "386", "arm", "s390x", "x86_64"])
def test_there_is_none_for_other_architectures(architecture: str) -> None:
    assert pause_program(architecture) is None


def test_it_runs_until_it_is_killed(tmp_path: Path) -> None:
    program = pause_program({"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()])
    assert program is not None
    path = tmp_path / "pause"
    path.write_bytes(program)
    path.chmod(0o755)
    with subprocess.Popen([path], env={}) as process:
        state = Path(f"/proc/{process.pid}/stat")
        # SIGCONT is delivered to whoever has no handler for it as well: the call ends, and the loop makes it again.
        for _ in range(3):
            time.sleep(0.05)
            assert state.read_text().split()[2] == "S"
            process.send_signal(signal.SIGSTOP)
            process.send_signal(signal.SIGCONT)
        assert process.poll() is None
        process.kill()
    assert process.returncode == -signal.SIGKILL
