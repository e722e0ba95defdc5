"""The tools of the session: arguments -> a run or a sandbox -> a reply."""

import fnmatch
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio

from lightrunner import DockerRunner, LightRunnerError, RunRequest
from lightrunner.errors import invalid_request
from lightrunner.nurseries import open_bare_nursery
from lightrunner.rules.sizes import parse_timeout
from lightrunner.rules.violation import RuleViolation
from lightrunner.serve import files

from .arguments import TOOLS_BY_NAME, Exec, ReadFile, RunCode, StartSandbox, StopSandbox, WriteFile
from .languages import LANGUAGES, Language
from .replies import MAX_READ_BYTES, Output, Reply, error_reply, result_reply
from .sandboxes import Sandboxes

MAX_FILES = 1000


class AgentPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent may ask for. The limits of a container are the runner's options.

    Attributes:
        languages: their images and commands.
        images: shell patterns for other images; empty: any image.
        network: of every container: ``none``, a named network, or None for the isolated bridge.
        default_timeout: seconds, for programs and commands without a time-out.
        max_timeout: seconds; no time-out is longer.
        max_concurrent: how many programs at once; further ones wait.
        max_sandboxes: how many sandboxes at once.
        sandbox_time: seconds that a sandbox lives at most.
        idle_time: seconds after which a sandbox that is not used ends.
    """

    languages: Mapping[str, Language] = msgspec.field(default_factory=lambda: dict(LANGUAGES))
    images: Sequence[str] = ()
    network: str | None = "none"
    default_timeout: float = 30.0
    max_timeout: float = 300.0
    max_concurrent: int = 4
    max_sandboxes: int = 4
    sandbox_time: float = 3600.0
    idle_time: float = 900.0


class Toolbox:
    """The tools. `open_toolbox` makes it."""

    def __init__(self, runner: DockerRunner, policy: AgentPolicy, folder: Path, nursery: trio.Nursery) -> None:
        self._runner = runner
        self._policy = policy
        self._folder = folder
        self._limiter = trio.CapacityLimiter(policy.max_concurrent)
        self._sandboxes = Sandboxes(runner, nursery, maximum=policy.max_sandboxes, idle_time=policy.idle_time)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Reply:
        """Call a tool. What is wrong with the call is a reply, from which a model can learn."""
        tool = TOOLS_BY_NAME.get(name)
        if tool is None:
            return error_reply(f"there is no tool {name!r}; there are {', '.join(TOOLS_BY_NAME)}")
        try:
            return await self._call(msgspec.convert(arguments, tool.kind))
        except msgspec.ValidationError as error:
            return error_reply(f"{name}: {error}")
        except LightRunnerError as error:
            return error_reply(str(error))

    async def _call(self, arguments: object) -> Reply:
        match arguments:
            case RunCode():
                return await self._run_code(arguments)
            case StartSandbox():
                return await self._start_sandbox(arguments)
            case Exec():
                return await self._exec(arguments)
            case WriteFile():
                with self._sandboxes.find(arguments.sandbox) as box:
                    await box.write(arguments.path, arguments.content.encode(errors="surrogatepass"))
                return Reply(f"wrote {arguments.path}")
            case ReadFile():
                with self._sandboxes.find(arguments.sandbox) as box:
                    data = await box.read(arguments.path, max_bytes=MAX_READ_BYTES)
                return Reply(data.decode(errors="replace"))
            case StopSandbox():
                await self._sandboxes.stop(arguments.sandbox)
                return Reply(f"removed {arguments.sandbox}")
            case _:
                raise AssertionError(arguments)

    async def _run_code(self, arguments: RunCode) -> Reply:
        language, image = self._language(arguments.language, arguments.image, default="sh")
        if language.file in arguments.files:
            with invalid_request():
                raise RuleViolation("files", language.file, "is the name of the code's own file")
        output = Output()
        seed = {language.file: arguments.code, **arguments.files}
        timeout = self._timeout(arguments.timeout)
        async with self._limiter, self._seeded(seed) as folder:
            request = RunRequest(
                image=image,
                entrypoint=f"{language.program} {language.file}",
                dir=folder,
                input=_encoded(arguments.input),
                timeout=timeout,
                network=self._policy.network,
            )
            return result_reply(await self._runner.run(request, on_output=output.add), output)

    async def _start_sandbox(self, arguments: StartSandbox) -> Reply:
        _, image = self._language(arguments.language, arguments.image, default="sh")
        async with self._seeded(arguments.files) as folder:
            request = RunRequest(
                image=image, dir=folder, timeout=self._policy.sandbox_time, network=self._policy.network
            )
            sandbox_id = await self._sandboxes.start(request)
        text = f"sandbox {sandbox_id} of {image}; the working directory is {request.workdir}"
        return Reply(text, {"sandbox": sandbox_id, "image": image, "workdir": request.workdir})

    async def _exec(self, arguments: Exec) -> Reply:
        output = Output()
        timeout = self._timeout(arguments.timeout)
        with self._sandboxes.find(arguments.sandbox) as box:
            result = await box.exec(
                arguments.command,
                input=_encoded(arguments.input),
                timeout=timeout,
                on_output=output.add,
                capture_output=False,
            )
        return result_reply(result, output)

    def _language(self, name: str | None, image: str | None, *, default: str) -> tuple[Language, str]:
        """Return a language and the image to run it in. The images of the languages are always allowed."""
        with invalid_request():
            if name is None and image is None:
                raise RuleViolation("language", name, "give a language or an image")
            language = self._policy.languages[name or default]
            known = {each.image for each in self._policy.languages.values()}
            patterns = self._policy.images
            if image is None or image in known or not patterns:
                return language, image or language.image
            if not any(fnmatch.fnmatchcase(image, pattern) for pattern in patterns):
                raise RuleViolation("image", image, f"the user allows no image but {', '.join([*known, *patterns])}")
            return language, image

    def _timeout(self, value: float | None) -> float:
        if value is None:
            return min(self._policy.default_timeout, self._policy.max_timeout)
        with invalid_request():
            seconds = parse_timeout("timeout", value)
            if seconds > self._policy.max_timeout:
                raise RuleViolation("timeout", value, f"more than the maximum of {self._policy.max_timeout:g} s")
        return seconds

    @asynccontextmanager
    async def _seeded(self, contents: Mapping[str, str]) -> AsyncGenerator[Path | None]:
        """Hold files in a folder of their own; None if there are none."""
        if not contents:
            yield None
            return
        encoded = {path: text.encode(errors="surrogatepass") for path, text in contents.items()}
        folder = Path(await trio.to_thread.run_sync(lambda: tempfile.mkdtemp(dir=self._folder)))
        try:
            with invalid_request():
                await trio.to_thread.run_sync(files.write_files, folder / "seed", encoded, MAX_FILES)
            yield folder / "seed"
        finally:
            with trio.CancelScope(shield=True):  # Bounded by the disk's work.
                await trio.to_thread.run_sync(files.remove, folder)


@asynccontextmanager
async def open_toolbox(runner: DockerRunner, policy: AgentPolicy) -> AsyncGenerator[Toolbox]:
    """Open the tools of a session. The end of the block removes its sandboxes."""
    folder = Path(await trio.to_thread.run_sync(lambda: tempfile.mkdtemp(prefix="lightrunner-mcp-")))
    try:
        async with open_bare_nursery() as nursery:
            yield Toolbox(runner, policy, folder, nursery)
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):  # Bounded by the disk's work.
            await trio.to_thread.run_sync(files.remove, folder)


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode(errors="surrogatepass")
