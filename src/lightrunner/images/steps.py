"""Bake setup steps into a cached image with the classic builder, or find it by its tag.

The Dockerfile is made in memory and sent as a tar archive, without a BuildKit session or a file on disk. The builder
sets the tag last: a build that fails, is cancelled or loses its daemon leaves none. Closing the connection cancels a
build; the daemon then kills and removes the running step's container.
"""

import io
import re
import tarfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio

from lightrunner.engine import EngineClient, EngineNotFound, EngineResponseError, ProgressMessage
from lightrunner.engine.wire import ImageInspectResponse
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.plan import RunPlan, Sandbox
from lightrunner.results import Progress, ProgressCallback
from lightrunner.rules.dockerfile import cache_tag, dockerfile
from lightrunner.rules.limits import BUILD_TAIL_BYTES, CACHE_KIND, LABEL_BASE, LABEL_KIND
from lightrunner.rules.lines import LineSplitter, Piece

from .cache_usage import record_use
from .pull import ensure_image, progress_of

_BUILDERS_OWN = re.compile(r"(?: ---> .*|Removing intermediate container [0-9a-f]+|--> [0-9a-f]+)\n")
"""The builder's own messages, besides "Step 2/4 : …". All others are the steps' output."""
_STEP = re.compile(r"(?:Step (\d+)/\d+ : |STEP (\d+)/\d+: )(.*)", re.DOTALL)
"""How Docker announces a step, and podman."""
_STDERR = re.compile("\x1b\\[91m(.*)\x1b\\[0m", re.DOTALL)
"""A message with a step's stderr, which the builder colours red."""

_SHOWN_CHARACTERS = 200  # How much of a step an error shows. A step may have 64 KiB.

_locks: trio.lowlevel.RunVar[dict[tuple[str, str], trio.Lock]] = trio.lowlevel.RunVar("lightrunner-builds")
"""A lock per daemon and tag, shared by all runners of the event loop: a second request waits for the first build."""


async def ensure_run_image(
    engine: EngineClient, plan: RunPlan, sandbox: Sandbox, on_progress: ProgressCallback | None
) -> tuple[str, ImageInspectResponse]:
    """Pull the image or build its setup steps, unless the daemon has them. Return the image's reference and inspect.

    Raises:
        LightRunnerError: IMAGE_PULL_FAILED or BUILD_FAILED.
    """
    if not plan.steps:
        return plan.image.text, await ensure_image(engine, plan, sandbox, on_progress)
    tag = cache_tag(plan.image.text, plan.steps, plan.platform)
    base = await ensure_image(engine, plan, sandbox, on_progress) if plan.pull == "always" else None
    image = await _find(engine, tag, base)
    if image is None:
        async with _build_lock(engine, tag):
            image = await _find(engine, tag, base)
            if image is None:
                base = base or await ensure_image(engine, plan, sandbox, on_progress)
                image = await _build(
                    engine, tag, plan, base=base, build_timeout=sandbox.build_timeout, on_progress=on_progress
                )
    await trio.to_thread.run_sync(record_use, tag)
    return tag, image


async def _find(engine: EngineClient, tag: str, base: ImageInspectResponse | None) -> ImageInspectResponse | None:
    """Find a cache image; of another base than `base`, if that is given, it is out of date."""
    with mapped_errors(LightRunnerErrorCode.BUILD_FAILED, "image_inspect"):
        try:
            image = await engine.image_inspect(tag)
        except EngineNotFound:
            return None
    labels = (image.config and image.config.labels) or {}
    return image if base is None or labels.get(LABEL_BASE) == base.id else None


@asynccontextmanager
async def _build_lock(engine: EngineClient, tag: str) -> AsyncGenerator[None]:
    locks = _locks.get({})
    _locks.set(locks)
    key = (str(engine.endpoint), tag)
    lock = locks.setdefault(key, trio.Lock())
    try:
        async with lock:
            yield
    finally:
        if not lock.locked():  # A lock with a waiter would be locked: release hands it over.
            locks.pop(key, None)


async def _build(
    engine: EngineClient,
    tag: str,
    plan: RunPlan,
    *,
    base: ImageInspectResponse,
    build_timeout: float,
    on_progress: ProgressCallback | None,
) -> ImageInspectResponse:
    log = _BuildLog(plan.steps, on_progress)
    with mapped_errors(LightRunnerErrorCode.BUILD_FAILED, "image_build"):
        try:
            with trio.fail_after(build_timeout):
                await engine.image_build(
                    _context(dockerfile(plan.image.text, plan.steps)),
                    tag=tag,
                    labels={LABEL_KIND: CACHE_KIND} | ({LABEL_BASE: base.id} if plan.pull == "always" else {}),
                    platform=plan.platform,
                    on_progress=log.add,
                )
        except trio.TooSlowError:
            raise log.failure(f"not finished within {build_timeout:g} s (build_timeout)") from None
        except EngineResponseError as error:
            raise log.failure(error.message or "no reason given") from error
        finally:
            log.close()
        return await engine.image_inspect(tag)


class _BuildLog:
    """Passes the builder's messages to the callback line by line, and keeps the last output for an error."""

    def __init__(self, steps: tuple[str, ...], on_progress: ProgressCallback | None) -> None:
        self._steps = steps
        self._on_progress = on_progress
        self._lines = {"stdout": LineSplitter(), "stderr": LineSplitter()}
        self._running = -1  # The index of the running step.
        self._tail = b""

    def add(self, message: ProgressMessage) -> None:
        """Add a message of the build's stream."""
        if not message.stream:
            if message.status and self._on_progress is not None:
                self._on_progress(progress_of(message))
            return
        is_next_step = self._begins_next_step(message.stream)
        if is_next_step:
            self._running += 1
            self._tail = b""
        if is_next_step or _BUILDERS_OWN.fullmatch(message.stream):
            self.close()  # The last line of a step may have no newline.
            self._report(self._lines["stdout"].feed(_bytes(message.stream)))
            return
        stderr = _STDERR.fullmatch(message.stream)
        text = _bytes(stderr[1] if stderr else message.stream)
        self._tail = (self._tail + text)[-BUILD_TAIL_BYTES:]
        self._report(self._lines["stderr" if stderr else "stdout"].feed(text))

    def close(self) -> None:
        """End the current lines: at the end of the stream or of a step."""
        for lines in self._lines.values():
            self._report(lines.close())

    def failure(self, reason: str) -> LightRunnerError:
        """Return the error of a failed build: the running step, the builder's reason, the end of the step's output."""
        if self._running < 0:
            where = "before its first step"
        else:
            step = self._steps[self._running]
            step = step if len(step) <= _SHOWN_CHARACTERS else f"{step[:_SHOWN_CHARACTERS]}…"
            where = f"in step {self._running + 1} of {len(self._steps)} ({step!r})"
        tail = self._tail.decode(errors="replace").strip()
        shown = f"\nThe end of its output:\n{tail}" if tail else ""
        message = f"the build failed {where}: {reason}{shown}"
        return LightRunnerError(LightRunnerErrorCode.BUILD_FAILED, message, docker_op="image_build")

    def _begins_next_step(self, text: str) -> bool:
        # "Step 2/4 : RUN …" for the first step: FROM is the first line, and a LABEL the last. A step's own output can
        # look like it, but hardly with the text of the step that is next.
        following = self._running + 1
        if following == len(self._steps):
            return False
        announced = _STEP.match(text)
        if announced is None or int(announced[1] or announced[2]) != following + 2:
            return False
        return announced[3].strip() == f"RUN {self._steps[following]}"

    def _report(self, pieces: list[Piece]) -> None:
        if self._on_progress is not None:
            for piece in pieces:
                self._on_progress(Progress(status=piece.text))


def _bytes(text: str) -> bytes:
    return text.encode(errors="replace")  # JSON can hold lone surrogates. A daemon sends none.


def _context(content: bytes) -> bytes:
    """Return a build context that holds only the Dockerfile."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return archive.getvalue()
