"""The runs of a server: admit, queue, keep for a while, forget. And the archives that were uploaded for them."""

import tempfile
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import trio

from lightrunner import DockerRunner
from lightrunner.errors import invalid_request
from lightrunner.nurseries import open_bare_nursery, protected
from lightrunner.rules.limits import CLOSE_TIMEOUT
from lightrunner.rules.tarstream import TarError

from . import files
from .messages import RunBody, SeedView, to_request
from .policy import ServePolicy
from .problems import Problem, not_found
from .run import ServedRun

RETRY_AFTER = 2
"""Seconds after which a client may try again; the usual run has ended by then."""

_SWEEP_INTERVAL = 1.0


class Seed:
    """An uploaded archive, unpacked.

    Attributes:
        view: its description for clients.
        folder: where it is.
        users: the number of runs that are to be seeded from it.
        used_at: `trio.current_time` of its last use.
    """

    def __init__(self, view: SeedView, folder: Path) -> None:
        self.view = view
        self.folder = folder
        self.users = 0
        self.used_at = trio.current_time()


class Service:
    """The runs of a server, by id. `open_service` makes one.

    Attributes:
        runner: what runs them.
        policy: the limits.
        runs: those that are not forgotten, oldest first.
    """

    def __init__(self, runner: DockerRunner, policy: ServePolicy, folder: Path, nursery: trio.Nursery) -> None:
        self.runner = runner
        self.policy = policy
        self.runs: dict[str, ServedRun] = {}
        self._seeds: dict[str, Seed] = {}
        self._uploads = 0
        self._folder = folder
        self._nursery = nursery
        self._limiter = trio.CapacityLimiter(policy.max_concurrent)
        self._admitted = 0
        self._closing = False

    @property
    def active(self) -> int:
        """The number of runs that have a place."""
        return self._limiter.borrowed_tokens

    @property
    def queued(self) -> int:
        """The number of runs that wait for one."""
        return self._admitted - self.active

    async def submit(self, body: RunBody) -> ServedRun:
        """Admit a run.

        Raises:
            Problem: the queue is full, there is no such seed, or the server is ending.
            LightRunnerError: the request breaks a rule.
        """
        self._check_open()
        if self._admitted >= self.policy.max_concurrent + self.policy.max_queued:
            raise busy("the queue is full")
        run_id = uuid.uuid4().hex
        folder = self._folder / run_id
        seed = self._find_seed(body.seed) if isinstance(body.seed, str) else None
        own_files = body.files if isinstance(body.files, dict) else None
        if seed and own_files is not None:
            raise Problem(HTTPStatus.BAD_REQUEST, "files and seed are both given; give one of them")
        run = ServedRun(
            run_id,
            folder,
            backlog_bytes=self.policy.backlog_bytes,
            cancel_on_disconnect=body.cancel_on_disconnect,
        )
        source = seed.folder if seed else run.seed if own_files is not None else None
        request = to_request(body, self.policy, source, run.files)
        self._admitted += 1  # Before anything is awaited: the queue is bounded whatever arrives together.
        try:
            if seed:
                seed.users += 1
            await trio.to_thread.run_sync(self._make_folder, run, own_files)
            self._check_open()
        except BaseException:
            self._release(seed)
            with trio.CancelScope(shield=True):  # Bounded by the disk's work.
                await trio.to_thread.run_sync(files.remove, folder)
            raise

        async def go() -> None:
            try:
                await run.go(self.runner, request, self._limiter)
            finally:
                self._release(seed)

        self.runs[run_id] = run
        self._nursery.start_soon(protected, go)
        return run

    def find(self, run_id: str) -> ServedRun:
        """Return a run. Raise a 404 if there is none."""
        run = self.runs.get(run_id)
        if run is None:
            raise not_found("there is no such run; finished runs are kept for a while only")
        return run

    async def forget(self, run: ServedRun) -> None:
        """Cancel a run, wait for its end, and remove its files."""
        run.cancel()
        await run.ended.wait()
        self.runs.pop(run.id, None)
        with trio.CancelScope(shield=True):  # Bounded by the disk's work.
            await trio.to_thread.run_sync(files.remove, run.folder)

    async def add_seed(self, chunks: AsyncGenerator[bytes]) -> SeedView:
        """Unpack an archive while it arrives.

        Raises:
            Problem: there are too many archives already, or this is none.
            LightRunnerError: INVALID_REQUEST: a member is not a file or a folder, or its name leads elsewhere.
        """
        self._check_open()
        if len(self._seeds) + self._uploads >= self.policy.max_seeds:
            raise busy("there are too many uploaded archives; delete one")
        seed_id = uuid.uuid4().hex
        folder = self._folder / f"seed-{seed_id}"
        self._uploads += 1
        is_whole = False
        size = 0
        try:
            unpacker = await trio.to_thread.run_sync(files.Unpacker, folder, self.policy.max_seed_files)
            try:
                async with aclosing(chunks):
                    async for chunk in chunks:
                        size += len(chunk)
                        with invalid_request():
                            await trio.to_thread.run_sync(unpacker.feed, chunk)
                await trio.to_thread.run_sync(unpacker.close)
            finally:
                unpacker.abandon()
            is_whole = True
        except TarError as error:
            raise Problem(HTTPStatus.BAD_REQUEST, f"not a tar archive: {error}") from error
        finally:
            self._uploads -= 1
            if not is_whole:
                with trio.CancelScope(shield=True):  # Bounded by the disk's work.
                    await trio.to_thread.run_sync(files.remove, folder)
        seed = Seed(SeedView(seed_id, unpacker.files, size), folder)
        self._seeds[seed_id] = seed
        return seed.view

    async def remove_seed(self, seed_id: str) -> None:
        """Remove an archive.

        Raises:
            Problem: there is none, or a run needs it.
        """
        seed = self._find_seed(seed_id)
        if seed.users:
            raise Problem(HTTPStatus.CONFLICT, "runs that have not ended need this archive")
        del self._seeds[seed_id]
        await trio.to_thread.run_sync(files.remove, seed.folder)

    async def sweep(self) -> None:
        """Forget what is too old or too much, over and over."""
        while True:
            await trio.sleep(_SWEEP_INTERVAL)
            for run in self._surplus():
                await self.forget(run)
            oldest = trio.current_time() - self.policy.keep_time
            for seed in [seed for seed in self._seeds.values() if not seed.users and seed.used_at < oldest]:
                await self.remove_seed(seed.view.id)

    async def close(self) -> None:
        """End all runs, and wait until nothing of them is left on the daemon."""
        self._closing = True
        runs = list(self.runs.values())
        for run in runs:
            run.cancel()
        for run in runs:
            await run.ended.wait()

    def _surplus(self) -> list[ServedRun]:
        """Return finished runs that are too old, too many, or whose files take too much; the oldest first."""
        ended = sorted((run for run in self.runs.values() if run.ended.is_set()), key=lambda run: run.ended_at)
        oldest = trio.current_time() - self.policy.keep_time
        size = sum(run.files_bytes for run in ended)
        surplus: list[ServedRun] = []
        for at, run in enumerate(ended):
            too_many = len(ended) - at > self.policy.max_finished
            if not (run.ended_at < oldest or too_many or size > self.policy.max_files_bytes):
                break
            size -= run.files_bytes
            surplus.append(run)
        return surplus

    def _make_folder(self, run: ServedRun, own_files: dict[str, bytes] | None) -> None:
        run.folder.mkdir(mode=0o700)
        if own_files is not None:
            with invalid_request():
                files.write_files(run.seed, own_files, self.policy.max_seed_files)

    def _find_seed(self, seed_id: str) -> Seed:
        seed = self._seeds.get(seed_id)
        if seed is None:
            raise not_found("there is no such uploaded archive; one that is not used is kept for a while only")
        return seed

    def _release(self, seed: Seed | None) -> None:
        self._admitted -= 1
        if seed:
            seed.users -= 1
            seed.used_at = trio.current_time()

    def _check_open(self) -> None:
        if self._closing:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the server is ending")


def busy(message: str) -> Problem:
    """Return a 429."""
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, message, headers={"Retry-After": str(RETRY_AFTER)})


@asynccontextmanager
async def open_service(runner: DockerRunner, policy: ServePolicy) -> AsyncGenerator[Service]:
    """Open the runs of a server. The end of the block ends them, and removes all files."""
    folder = Path(await trio.to_thread.run_sync(lambda: tempfile.mkdtemp(prefix="lightrunner-serve-")))
    try:
        async with open_bare_nursery() as nursery:
            service = Service(runner, policy, folder, nursery)
            nursery.start_soon(service.sweep)
            try:
                yield service
            finally:
                with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                    await service.close()
                nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):  # Bounded by the disk's work.
            await trio.to_thread.run_sync(files.remove, folder)
