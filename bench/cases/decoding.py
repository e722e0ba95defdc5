"""Decode frames of an attached stream in memory: the decoder's share of the time."""

import struct
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from bench.sampling import Case, Goal, Sample, blocking
from bench.stage import Stage
from lightrunner.engine.frames import FrameDecoder
from lightrunner.engine.upgraded import RECEIVE_BYTES

_SECONDS = 0.3
_STREAM_BYTES = 1 << 23
_PAYLOADS = {"frames of 32 KiB": 1 << 15, "frames of 1 KiB": 1 << 10, "frames of 70 bytes": 70}
"""The daemon copies in pieces of up to 32 KiB; a program that flushes each line makes small ones."""


@asynccontextmanager
async def frames(stage: Stage) -> AsyncGenerator[Case]:
    """GB/s, in reads of the size that an attached stream has."""
    yield Case(
        name="frames",
        title=f"Decoding frames in reads of {RECEIVE_BYTES // 1024} KiB",
        contenders={name: blocking(partial(_decode, _reads(payload))) for name, payload in _PAYLOADS.items()},
        rounds=stage.rounds(8, 2),
        unit="GB/s",
        goals=(Goal("frames of 32 KiB", None, 5.0, at_least=True),),
    )


def _reads(payload: int) -> list[bytes]:
    frame = struct.pack(">B3xL", 1, payload) + bytes(payload)
    stream = frame * (_STREAM_BYTES // len(frame))
    return [stream[at : at + RECEIVE_BYTES] for at in range(0, len(stream), RECEIVE_BYTES)]


def _decode(reads: list[bytes]) -> Sample:
    decoder = FrameDecoder()
    done = 0
    begin = time.perf_counter()
    while (seconds := time.perf_counter() - begin) < _SECONDS:
        for data in reads:
            done += sum(len(piece.data) for piece in decoder.feed(data))
    decoder.close()
    return Sample(done / seconds / 1e9)
