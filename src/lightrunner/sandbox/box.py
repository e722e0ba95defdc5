"""`Sandbox`: one container, and any number of commands in it."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import trio

from lightrunner.errors import LightRunnerErrorCode, invalid_request, mapped_errors, warn_of_dropped_env
from lightrunner.files.seed import check_source
from lightrunner.nurseries import open_bare_nursery, run_in_child
from lightrunner.plan import plan_extracts
from lightrunner.requests import ExtractSpec
from lightrunner.results import ExtractResult, LogCallback, OutputCallback, RunResult
from lightrunner.rules import identity, names, sizes
from lightrunner.rules.limits import DEFAULT_READ_BYTES
from lightrunner.rules.members import check_ignore

from .command import check_started, end_channel, kill_after, make_result, run_command, spawn
from .context import SandboxContext
from .expose import ExposedPort, listen
from .order import (
    CommandPlan,
    Surroundings,
    check_data,
    check_path,
    check_port,
    plan_command,
    plan_process,
)
from .process import SandboxProcess
from .snapshot import check_name, take_snapshot
from .transfer import download, read_file, upload_folder, write_file

_NO_ENV: Mapping[str, str] = {}


class Sandbox:
    """A container that lives for more than one command. `DockerRunner.sandbox` creates it.

    Commands run one after another or at the same time. Files stay between them, and so does what runs with
    ``background=True``.

    Call the methods from any task of the block. After the block, and after the sandbox was lost, each of them raises
    `LightRunnerError` with SANDBOX_CLOSED.

    Attributes:
        id: the sandbox's id; its container and volume are named ``light-runner-<id>``.
        container_id: the daemon's id of the container.
        exposed: the addresses of the ports that were asked for with ``expose=``.
    """

    def __init__(self, context: SandboxContext, surroundings: Surroundings, nursery: trio.Nursery) -> None:
        self.id = context.run_id
        self.container_id = context.container_id
        self.exposed: dict[int, ExposedPort] = {}
        self._context = context
        self._session = context.session
        self._surroundings = surroundings
        self._nursery = nursery

    def __repr__(self) -> str:
        return f"<Sandbox {self.id} {'open' if self._session.error is None else 'closed'}>"

    async def exec(
        self,
        command: str | Sequence[str],
        *,
        input: Any = None,  # noqa: A002 - as in RunRequest
        env: Mapping[str, str] = _NO_ENV,
        workdir: str | None = None,
        user: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - it kills processes, which a cancel scope of the caller's cannot
        on_log: LogCallback | None = None,
        on_output: OutputCallback | None = None,
        capture_output: bool = True,
        background: bool = False,
    ) -> RunResult:
        """Run a command, and wait for its end.

        When this returns, raises or is cancelled, every process that the command started has ended: those that were
        forked twice, have a session of their own or fork all the time as well.

        Args:
            command: a text for ``sh -c``, or a program and its arguments.
            input: as `RunRequest.input`: a JSON value, or bytes, then end of file. None: no stdin.
            env: variables on top of the request's.
            workdir: the working directory; a relative one starts at the sandbox's.
            user: as Docker writes it: a name or number, and behind a colon a group. None: the image's.
            timeout: seconds to SIGKILL; None: the sandbox's own time alone.
            on_log: called with each line, as for `DockerRunner.run`.
            on_output: called with each chunk as it comes, as for `DockerRunner.run`.
            capture_output: keep stdout and stderr in the result, up to 8 MiB each.
            background: let what the command leaves running live on. Its output is dropped then.

        Returns:
            The result. Its exit code is 127 for a program that does not exist, 126 for one that cannot be executed, and
            128 + n if signal n killed the command. `oom_killed`: meanwhile the kernel killed a process of the sandbox
            for its memory limit.

        Raises:
            LightRunnerError: INVALID_REQUEST: also for a user or workdir that the sandbox does not have. RUN_FAILED:
                the sandbox has no room for one more process. SANDBOX_CLOSED.
        """
        with invalid_request():
            plan = plan_command(
                self._surroundings,
                command,
                stdin=input,
                env=env,
                workdir=workdir,
                user=user,
                timeout=timeout,
                background=background,
            )
        warn_of_dropped_env(plan.dropped_env)
        return await run_in_child(
            partial(run_command, self._session, plan, on_log=on_log, on_output=on_output, capture_output=capture_output)
        )

    async def start(
        self,
        command: str | Sequence[str],
        *,
        env: Mapping[str, str] = _NO_ENV,
        workdir: str | None = None,
        user: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as in exec
        terminal: tuple[int, int] | None = None,
        task_status: trio.TaskStatus[SandboxProcess] = trio.TASK_STATUS_IGNORED,
    ) -> RunResult:
        """Run a command that the caller talks to: ``process = await nursery.start(box.start, "python -i")``.

        Args:
            command: as for `exec`.
            env: as for `exec`.
            workdir: as for `exec`.
            user: as for `exec`.
            timeout: as for `exec`.
            terminal: rows and columns of a pseudo-terminal; None: pipes.
            task_status: trio's, for ``nursery.start``.

        Returns:
            The result, at the command's end. Cancelling the task kills the command with all that it started.

        Raises:
            LightRunnerError: as `exec`; out of ``nursery.start`` if the command does not start. FILE_FAILED: there is
                no such program, or it cannot be executed.
        """
        with invalid_request():
            plan = plan_process(
                self._surroundings, command, env=env, workdir=workdir, user=user, terminal=terminal
            )._replace(timeout=sizes.parse_timeout("timeout", timeout))
        warn_of_dropped_env(plan.dropped_env)
        return await run_in_child(partial(self._live, plan, is_tty=terminal is not None, task_status=task_status))

    async def read(
        self, path: str | os.PathLike[str], *, user: str | None = None, max_bytes: int = DEFAULT_READ_BYTES
    ) -> bytes:
        """Read a file.

        Args:
            path: in the sandbox; a relative one starts at the workdir.
            user: as for `exec`.
            max_bytes: a longer file is an error.

        Raises:
            LightRunnerError: FILE_FAILED: it does not exist, is no plain file, is longer, or may not be read.
                INVALID_REQUEST, SANDBOX_CLOSED.
        """
        with invalid_request():
            source = check_path("path", path, self._surroundings.workdir)
            limit = sizes.parse_byte_limit("max_bytes", max_bytes)
            who = None if user is None else identity.parse_user("user", user)
        read = partial(read_file, self._session, self._surroundings, source, user=who, max_bytes=limit)
        return await run_in_child(read)

    async def write(
        self, path: str | os.PathLike[str], data: bytes | bytearray | memoryview, *, user: str | None = None
    ) -> None:
        """Write a file, and make the folders that lead to it.

        Args:
            path: in the sandbox; a relative one starts at the workdir.
            data: what it then holds.
            user: as for `exec`; the file is that user's.

        Raises:
            LightRunnerError: FILE_FAILED: it may not be written, or does not fit. INVALID_REQUEST, SANDBOX_CLOSED.
        """
        with invalid_request():
            target = check_path("path", path, self._surroundings.workdir)
            content = check_data("data", data)
            who = None if user is None else identity.parse_user("user", user)
        await run_in_child(partial(write_file, self._session, self._surroundings, target, content, user=who))

    async def upload(
        self,
        folder: str | os.PathLike[str],
        to: str | os.PathLike[str] = ".",
        *,
        ignore: Sequence[str] = (),
        user: str | None = None,
    ) -> None:
        """Copy a host folder's contents into a folder of the sandbox. What is left out is as for `RunRequest.dir`.

        Args:
            folder: on the host.
            to: in the sandbox, made where it is missing; a relative one starts at the workdir.
            ignore: as `RunRequest.ignore`.
            user: as for `exec`; the files are that user's.

        Raises:
            LightRunnerError: SEED_FAILED: a file of the host cannot be read. FILE_FAILED: one of the sandbox cannot be
                written. INVALID_REQUEST, SANDBOX_CLOSED.
        """
        with invalid_request():
            source = names.parse_host_path("folder", folder)
            target = check_path("to", to, self._surroundings.workdir)
            patterns = check_ignore("ignore", ignore)
            who = None if user is None else identity.parse_user("user", user)
        await check_source(source)
        upload = partial(upload_folder, self._session, self._surroundings, source, target, ignore=patterns, user=who)
        await run_in_child(upload)

    async def download(
        self, from_: str | os.PathLike[str], to: str | os.PathLike[str], *, user: str | None = None
    ) -> ExtractResult:
        """Copy a file or a folder of the sandbox to the host, with all of an extract's guards.

        Args:
            from_: as `ExtractSpec.from_`.
            to: as `ExtractSpec.to`.
            user: as for `exec`.

        Returns:
            The result, with the status ``missing`` or ``error`` if nothing was copied.

        Raises:
            LightRunnerError: INVALID_REQUEST, SANDBOX_CLOSED.
        """
        with invalid_request():
            spec = ExtractSpec(os.fspath(from_), to)
            (plan,) = plan_extracts([spec], self._surroundings.workdir)
            who = None if user is None else identity.parse_user("user", user)
        copy = partial(
            download,
            self._session,
            self._surroundings,
            plan,
            run_id=self.id,
            user=who,
            max_bytes=self._context.max_extract_bytes,
        )
        return await run_in_child(copy)

    async def expose(self, port: int) -> ExposedPort:
        """Make a TCP port of the sandbox reachable on this host, on a free port of the loopback device.

        A connection to it is relayed to 127.0.0.1:`port` inside the sandbox; if nothing listens there, it is closed.
        That works without a network, too. Every user of this host can connect.

        Raises:
            LightRunnerError: INVALID_REQUEST, SANDBOX_CLOSED.
        """
        with invalid_request():
            check_port("port", port)
        self._session.check_open()
        if port not in self.exposed:
            self.exposed[port] = await listen(self._session, port, self._nursery)
        return self.exposed[port]

    async def snapshot(self, name: str) -> str:
        """Save the sandbox's files, the workdir included, as an image: ``RunRequest(image=reference)`` starts from it.

        Meanwhile the sandbox is paused. The image has the label of a cache image, and `cleanup_orphan_cache` removes it
        as one. Processes are not part of it, nor what lies in other volumes or in memory (``/dev/shm``).

        Args:
            name: a name for the image, as an image's tag; an earlier snapshot of the name loses it.

        Returns:
            The image's reference, ``light-runner-cache:snapshot-<name>``.

        Raises:
            LightRunnerError: SNAPSHOT_FAILED: the daemon failed. INVALID_REQUEST, SANDBOX_CLOSED.
        """
        with invalid_request():
            tag = check_name("name", name)
        self._session.check_open()
        with mapped_errors(LightRunnerErrorCode.SNAPSHOT_FAILED, "image_commit", container_id=self.container_id):
            return await run_in_child(take_snapshot, self._context, tag)

    async def wait_closed(self) -> str:
        """Wait until the sandbox's end: its block has ended, its time is over, or it was lost. Return the reason.

        Nothing interrupts the block when the sandbox is lost; later calls raise SANDBOX_CLOSED.
        """
        await self._session.wait_closed()
        assert self._session.error is not None
        return self._session.error.message

    async def _live(
        self, plan: CommandPlan, *, is_tty: bool, task_status: trio.TaskStatus[SandboxProcess]
    ) -> RunResult:
        channel = await spawn(self._session, plan.spawn)
        try:
            await channel.wait_started()
            if channel.exit is not None:
                check_started(channel.exit, plan, self.container_id, executed=True)
            async with open_bare_nursery() as nursery:
                nursery.start_soon(kill_after, self._session, channel, plan.timeout)
                task_status.started(SandboxProcess(self._session, channel, timeout=plan.timeout, is_tty=is_tty))
                ended = await channel.wait_exited()
                nursery.cancel_scope.cancel()
        finally:
            if channel.exit is None:
                await end_channel(self._session, channel)
        check_started(ended, plan, self.container_id)
        return make_result(self._session, channel, ended, timeout=plan.timeout)
