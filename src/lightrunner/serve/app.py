"""The routes of the server, and the ASGI application that finds a request's."""

import hmac
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, NamedTuple, cast
from urllib.parse import quote

import msgspec
import trio

from lightrunner import LightRunnerError
from lightrunner.errors import invalid_request
from lightrunner.rules.violation import RuleViolation

from . import events, files
from .asgi import Receive, Reply, Request, Send, Write, json_reply, problem_reply
from .messages import FileList, Health, RunBody, RunList, RunView, SeedView, StopBody
from .openapi import Operation, document
from .problems import Problem, not_found, problem_of
from .run import ServedRun
from .service import Service

KEEP_ALIVE_INTERVAL = 15.0
MAX_WAIT = 3600.0
"""Seconds that a request may wait for a run's end."""

_FILE_PIECE_BYTES = 256 * 1024

_logger = logging.getLogger(__name__)

Handler = Callable[..., Awaitable[Reply]]


class _Route(NamedTuple):
    operation: Operation
    handler: Handler


class App:
    """The application: one service behind HTTP."""

    def __init__(self, service: Service, token: str | None) -> None:
        """Make the application.

        Args:
            service: the runs.
            token: what clients have to present; None: nothing.
        """
        self._service = service
        self._token = None if token is None else token.encode()
        self._routes = [
            _Route(
                Operation("GET", "/health", "Whether runs can be started", HTTPStatus.OK, reply=Health), self._health
            ),
            _Route(Operation("GET", "/openapi.json", "This description", HTTPStatus.OK), self._describe),
            _Route(
                Operation(
                    *("POST", "/seeds", "Upload a tar archive for the workdir of runs", HTTPStatus.CREATED),
                    reply=SeedView,
                    content="application/x-tar",
                ),
                self._add_seed,
            ),
            _Route(Operation("DELETE", "/seeds/{seed}", "Remove an archive", HTTPStatus.NO_CONTENT), self._remove_seed),
            _Route(Operation("GET", "/runs", "List the runs", HTTPStatus.OK, reply=RunList), self._list),
            _Route(
                Operation(
                    *("POST", "/runs", "Start a run", HTTPStatus.ACCEPTED),
                    body=RunBody,
                    reply=RunView,
                    query={"wait": "seconds to wait for its end"},
                ),
                self._submit,
            ),
            _Route(
                Operation(
                    *("GET", "/runs/{run}", "The state and the result of a run", HTTPStatus.OK),
                    reply=RunView,
                    query={"wait": "seconds to wait for its end"},
                ),
                self._show,
            ),
            _Route(
                Operation("DELETE", "/runs/{run}", "Cancel a run, and forget it", HTTPStatus.NO_CONTENT), self._forget
            ),
            _Route(
                Operation(
                    *("GET", "/runs/{run}/output", "Stream the output of a run, from the start", HTTPStatus.OK),
                    stream="text/event-stream",
                    query={
                        "encoding": "base64 (by default) or text",
                        "after": "the id of the last event that the client has, as Last-Event-ID",
                    },
                ),
                self._stream,
            ),
            _Route(
                Operation("POST", "/runs/{run}/cancel", "Kill a run", HTTPStatus.ACCEPTED, reply=RunView),
                self._cancel,
            ),
            _Route(
                Operation(
                    *("POST", "/runs/{run}/stop", "Send a signal, then SIGKILL, and wait for the exit", HTTPStatus.OK),
                    body=StopBody,
                    reply=RunView,
                ),
                self._stop,
            ),
            _Route(Operation("POST", "/runs/{run}/pause", "Freeze a run", HTTPStatus.OK, reply=RunView), self._pause),
            _Route(Operation("POST", "/runs/{run}/resume", "Thaw a run", HTTPStatus.OK, reply=RunView), self._resume),
            _Route(
                Operation(
                    "GET", "/runs/{run}/files", "List the extracted files of a run", HTTPStatus.OK, reply=FileList
                ),
                self._list_files,
            ),
            _Route(
                Operation(
                    *("GET", "/runs/{run}/files/{path}", "One extracted file", HTTPStatus.OK),
                    stream="application/octet-stream",
                ),
                self._send_file,
            ),
        ]

    @property
    def operations(self) -> list[Operation]:
        """What clients can do."""
        return [route.operation for route in self._routes]

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        request = Request(scope, receive)
        try:
            reply = await self._answer(request)
        except Problem as problem:
            reply = problem_reply(problem)
        except LightRunnerError as error:
            reply = problem_reply(problem_of(error))
        except Exception:  # One request's failure must not end the server. The log has it whole.
            _logger.exception("%s %s failed", request.method, request.parts)
            reply = problem_reply(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed; its log says how"))
        await reply.send(send, request)

    async def _answer(self, request: Request) -> Reply:
        if request.parts != ("health",):
            self._check_token(request)
        allowed: list[str] = []
        for operation, handler in self._routes:
            arguments = operation.match(request.parts)
            if arguments is not None:
                if operation.method == request.method:
                    return await handler(request, **arguments)
                allowed.append(operation.method)
        if allowed:
            raise Problem(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"{request.method} is not one of {', '.join(allowed)}",
                headers={"Allow": ", ".join(allowed)},
            )
        raise not_found("there is nothing at this path; /openapi.json lists what there is")

    def _check_token(self, request: Request) -> None:
        if self._token is None:
            return
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        is_right = hmac.compare_digest(token.strip().encode("latin-1"), self._token)
        if kind.lower() != "bearer" or not is_right:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "the token is missing or wrong: Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": "Bearer"},
            )

    # --- the server -----------------------------------------------------------------------------------------------

    async def _health(self, _: Request) -> Reply:
        is_there = await self._service.runner.is_available()
        health = Health(
            "ok" if is_there else "unreachable", version("lightrunner"), self._service.queued, self._service.active
        )
        return json_reply(health, HTTPStatus.OK if is_there else HTTPStatus.SERVICE_UNAVAILABLE)

    async def _describe(self, _: Request) -> Reply:
        return json_reply(document(self.operations, version("lightrunner")))

    # --- archives -------------------------------------------------------------------------------------------------

    async def _add_seed(self, request: Request) -> Reply:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-tar":
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is not application/x-tar")
        view = await self._service.add_seed(request.chunks(self._service.policy.max_seed_bytes))
        return json_reply(view, HTTPStatus.CREATED, {"Location": f"/seeds/{view.id}"})

    async def _remove_seed(self, _: Request, seed: str) -> Reply:
        await self._service.remove_seed(seed)
        return Reply(HTTPStatus.NO_CONTENT)

    # --- runs -----------------------------------------------------------------------------------------------------

    async def _list(self, _: Request) -> Reply:
        return json_reply(RunList([run.view() for run in self._service.runs.values()]))

    async def _submit(self, request: Request) -> Reply:
        wait = _wait(request)
        body = await request.json(RunBody, self._service.policy.max_body_bytes)
        run = await self._service.submit(body)
        if wait is not None:
            await self._wait_for(request, run, wait)
        return json_reply(run.view(), HTTPStatus.ACCEPTED, {"Location": f"/runs/{run.id}"})

    async def _show(self, request: Request, run: str) -> Reply:
        wait, found = _wait(request), self._service.find(run)
        if wait is not None:
            await self._wait_for(request, found, wait)
        return json_reply(found.view())

    async def _forget(self, _: Request, run: str) -> Reply:
        await self._service.forget(self._service.find(run))
        return Reply(HTTPStatus.NO_CONTENT)

    async def _cancel(self, _: Request, run: str) -> Reply:
        found = self._service.find(run)
        found.cancel()
        return json_reply(found.view(), HTTPStatus.ACCEPTED)

    async def _stop(self, request: Request, run: str) -> Reply:
        found = self._service.find(run)
        how = await request.json(StopBody, self._service.policy.max_body_bytes, default=StopBody())
        await found.stop(how.signal, how.grace)
        return json_reply(found.view())

    async def _pause(self, _: Request, run: str) -> Reply:
        found = self._service.find(run)
        await found.pause()
        return json_reply(found.view())

    async def _resume(self, _: Request, run: str) -> Reply:
        found = self._service.find(run)
        await found.resume()
        return json_reply(found.view())

    async def _wait_for(self, request: Request, run: ServedRun, seconds: float) -> None:
        async def work() -> None:
            with trio.move_on_after(seconds):
                await run.ended.wait()

        if not await request.while_connected(work) and run.cancel_on_disconnect:
            run.cancel()

    # --- output ---------------------------------------------------------------------------------------------------

    async def _stream(self, request: Request, run: str) -> Reply:
        found = self._service.find(run)
        encoding = request.query.get("encoding", "base64")
        if encoding not in {"base64", "text"}:
            with invalid_request():
                raise RuleViolation("encoding", encoding, "neither base64 nor text")
        last = request.headers.get("last-event-id") or request.query.get("after") or "0"
        if last == events.END_ID:
            return Reply(HTTPStatus.NO_CONTENT)
        if not (last.isascii() and last.isdecimal() and len(last) <= 15):  # noqa: PLR2004 - more is no id of ours
            with invalid_request():
                raise RuleViolation("Last-Event-ID", last, "not the id of an event")

        async def write_all(write: Write) -> None:
            is_there = await request.while_connected(
                lambda: _write_output(found, int(last), cast("events.Encoding", encoding), write)
            )
            if not is_there and found.cancel_on_disconnect:
                found.cancel()

        return Reply(HTTPStatus.OK, write_all, "text/event-stream; charset=utf-8", {"x-accel-buffering": "no"})

    # --- files ----------------------------------------------------------------------------------------------------

    async def _list_files(self, _: Request, run: str) -> Reply:
        found = self._ended(run)
        return json_reply(FileList(await trio.to_thread.run_sync(files.list_files, found.files)))

    async def _send_file(self, request: Request, run: str, path: str) -> Reply:
        found = self._ended(run)
        with invalid_request():
            opened = await trio.to_thread.run_sync(files.open_file, found.files, path)
        if opened is None:
            raise not_found("the run has no such file")
        file, size = opened

        async def write_file(write: Write) -> None:
            async def work() -> None:
                while piece := await trio.to_thread.run_sync(file.read, _FILE_PIECE_BYTES):
                    await write(piece)

            with file:
                await request.while_connected(work)

        name = quote(path.rpartition("/")[2], safe="", errors="surrogateescape")
        headers = {"content-length": str(size), "content-disposition": f"attachment; filename*=UTF-8''{name}"}
        return Reply(HTTPStatus.OK, write_file, "application/octet-stream", headers)

    def _ended(self, run: str) -> ServedRun:
        found = self._service.find(run)
        if not found.ended.is_set():
            raise Problem(HTTPStatus.CONFLICT, "the run has not ended: its files are extracted after its exit")
        return found


async def _write_output(run: ServedRun, last: int, encoding: events.Encoding, write: Write) -> None:
    """Write a run's output as events, to its end."""
    last = min(last, run.output.newest)
    while True:
        entries, lost = run.output.after(last)
        if lost:
            await write(events.lost_event(lost))
        if entries:
            last = entries[-1].id
            if data := b"".join(events.output_event(entry, encoding) for entry in entries):
                await write(data)
        elif run.output.ended:
            break
        else:
            with trio.move_on_after(KEEP_ALIVE_INTERVAL) as scope:
                await run.output.wait_after(last)
            if scope.cancelled_caught:
                await write(events.KEEP_ALIVE)
    # The output ends a moment before the run: its files are still to be extracted, and its container to be removed.
    await run.ended.wait()
    await write(events.event("end", msgspec.to_builtins(run.view()), id=events.END_ID))


def _wait(request: Request) -> float | None:
    """Return the seconds of the parameter `wait`; None without it."""
    text = request.query.get("wait")
    if text is None:
        return None
    with invalid_request():
        try:
            seconds = float(text)
        except ValueError as error:
            raise RuleViolation("wait", text, "not a number of seconds") from error
        if not 0 <= seconds <= MAX_WAIT or math.isnan(seconds):
            raise RuleViolation("wait", text, f"not from 0 to {MAX_WAIT:g} seconds")
    return seconds
