"""The program of a pause container, which sleeps forever: the bytes of a static ELF file. Pure.

The program needs no libc and no shell, and is smaller than its header in a tar archive.
"""

import struct

_BASE = 0x400000
_HEADER_BYTES = 64 + 56  # ELF64's file header and one program header.

# loop: pause(); goto loop
_X86_64 = bytes.fromhex("b822000000 0f05 ebf7")  # mov eax, 34; syscall; jmp loop
# loop: ppoll(NULL, 0, NULL, NULL); goto loop. (arm64 has no pause.)
_ARM64 = struct.pack(
    "<7I",
    0xD2800000,  # mov x0, #0
    0xD2800001,  # mov x1, #0
    0xD2800002,  # mov x2, #0
    0xD2800003,  # mov x3, #0
    0xD2800928,  # mov x8, #73
    0xD4000001,  # svc #0
    0x17FFFFFA,  # b loop
)

_PROGRAMS = {"amd64": (62, _X86_64), "arm64": (183, _ARM64)}  # e_machine: EM_X86_64, EM_AARCH64


def pause_program(architecture: str) -> bytes | None:
    """Return the program for an architecture, by Docker's name; None if there is none for it."""
    if architecture not in _PROGRAMS:
        return None
    machine, code = _PROGRAMS[architecture]
    size = _HEADER_BYTES + len(code)
    file_header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",  # 64 bits, little-endian, version 1, System V
        2,  # e_type: ET_EXEC
        machine,
        1,  # e_version
        _BASE + _HEADER_BYTES,  # e_entry
        64,  # e_phoff: directly after this header
        0,
        0,
        64,  # e_ehsize
        56,  # e_phentsize
        1,  # e_phnum
        0,
        0,
        0,
    )
    # PT_LOAD, readable and executable: the whole file.
    program_header = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return file_header + program_header + code
