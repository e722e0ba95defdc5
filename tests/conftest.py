"""The engine that tests run on: a private one, started by the first test that asks, or that of `--host`.

A test says that it needs an engine by using one of the fixtures below; it is then marked `engine`, and
`--no-engine` leaves it out. At the session's end the private engine checks that nothing of it stays on the
machine.
"""

import functools
import inspect
import math
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio

from tools.certificates import Certificates
from tools.engines import CAPABILITIES, ENDPOINTS, ENGINES, EngineDownloadError, EngineUnavailableError, engine_setup
from tools.images import ensure_busybox, ensure_python
from tools.private_engine import PrivateEngine
from tools.raw_engine import RawEngine
from tools.ssh_server import SshServer

RUN_LABEL = "light-runner.run-id"
NAME_PREFIX = "light-runner-"
CACHE_IMAGE = "light-runner-cache:"
INIT_VOLUME = "light-runner-init-"

ENGINE_SEEN = pytest.StashKey[str]()
LACKING = pytest.StashKey[Counter[str]]()
"""How many tests were left out for want of each capability."""
RAW_HOST = pytest.StashKey[str]()

AsyncTest = Callable[..., Awaitable[None]]
TRIO_SHARE = 0.9
"""Of a test's time-out, what its trio part may take."""
CLOCKS = {"mock_clock", "autojump_clock"}
"""pytest-trio's fixtures under which a second is none."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lightrunner")
    group.addoption("--host", metavar="URL", help="use this engine (unix:// or tcp://) in place of a private one")
    group.addoption(
        "--engine",
        choices=[*ENGINES, *ENDPOINTS],
        help="use private engines of this kind, or reach the installed one in this way; then only tests that use it",
    )
    group.addoption(
        "--node-loss", action="store_true", help="also run the tests that lose a swarm's nodes: minutes each"
    )
    group.addoption("--no-engine", action="store_true", help="leave out the tests that need an engine")


def pytest_configure(config: pytest.Config) -> None:
    # A shell that starts this in the background, and nohup, have these ignored, and the programs that tests interrupt
    # inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if config.getoption("--host") and config.getoption("--no-engine"):
        raise pytest.UsageError("--host and --no-engine exclude each other")
    if (name := str(config.getoption("--engine"))) in ENGINES:
        try:
            PrivateEngine.default_setup = engine_setup(name)
        except (EngineDownloadError, EngineUnavailableError) as error:
            raise pytest.UsageError(f"--engine {name}: {error}") from None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        # The names are the closure: whatever fixture stands on engine_host brings it in.
        if "engine_host" in item.fixturenames:
            item.add_marker("engine")
        if inspect.iscoroutinefunction(item.obj) and not CLOCKS & set(item.fixturenames):
            item.obj = _bounded(item.obj, TRIO_SHARE * _timeout(item))
    left_out = {item for item in items if not _runs_on(config, {mark.name for mark in item.iter_markers()})}
    left_out |= _beyond_the_engine(config, [item for item in items if item not in left_out])
    if left_out:
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]


def _runs_on(config: pytest.Config, marks: set[str]) -> bool:
    """Tell whether the options leave in a test with these marks."""
    if "node_loss" in marks and not config.getoption("--node-loss"):
        return False
    if config.getoption("--no-engine"):
        return not {"engine", "private_engine"} & marks
    if config.getoption("--host") and "private_engine" in marks:
        return False
    if engine := config.getoption("--engine"):
        return bool(({"engine"} if engine in ENDPOINTS else {"engine", "private_engine"}) & marks)
    return True


def _beyond_the_engine(config: pytest.Config, items: list[pytest.Item]) -> set[pytest.Item]:
    """The tests that need what the engine of `--engine` lacks; they are counted for the summary."""
    engine = ENGINES.get(str(config.getoption("--engine")))
    counts = config.stash[LACKING] = Counter[str]()
    beyond = set[pytest.Item]()
    for item in items:
        needed = {capability for mark in item.iter_markers("needs") for capability in mark.args}
        if unknown := needed - CAPABILITIES.keys():
            raise pytest.UsageError(f"{item.nodeid}: no such capability: {', '.join(sorted(unknown))}")
        if engine and (lacking := needed & engine.lacks.keys()):
            beyond.add(item)
            counts[min(lacking)] += 1
    return beyond


def _bounded(test: AsyncTest, seconds: float) -> AsyncTest:
    """Let an async test that hangs fail by cancellation, which cleans up after it.

    pytest-timeout raises in the middle of trio's own loop, and then no later test can run one.
    """

    @functools.wraps(test)
    async def bounded(**fixtures: object) -> None:
        with trio.fail_after(seconds):
            await test(**fixtures)

    return bounded


def _timeout(item: pytest.Function) -> float:
    """Return the seconds that pytest-timeout gives a test."""
    marker = item.get_closest_marker("timeout")
    configured = item.config.getoption("timeout") or item.config.getini("timeout")
    return float(marker.args[0] if marker and marker.args else configured) or math.inf


def pytest_report_header(config: pytest.Config) -> str:
    if config.getoption("--no-engine"):
        return "engine: none"
    host = config.getoption("--host")
    return f"engine: {describe(RawEngine(host))}" if host else "engine: a private dockerd, when a test needs it"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if seen := config.stash.get(ENGINE_SEEN, None):
        terminalreporter.write_line(f"engine: {seen}")
    for capability, count in sorted(config.stash.get(LACKING, Counter[str]()).items()):
        why = ENGINES[str(config.getoption("--engine"))].lacks[capability]
        terminalreporter.write_line(f"not run for want of {capability} ({why}): {count}")


@pytest.fixture(scope="session")
def engine_host(pytestconfig: pytest.Config) -> Iterator[str]:
    """The engine's URL, for the code under test."""
    if host := pytestconfig.getoption("--host"):
        pytestconfig.stash[RAW_HOST] = host
        yield host
        return
    endpoint = pytestconfig.getoption("--engine")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as monkeypatch:
        certificates = None
        if endpoint == "tls":
            certificates = Certificates(Path(stack.enter_context(TemporaryDirectory())))
            monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
            monkeypatch.setenv("DOCKER_CERT_PATH", str(certificates.client))
        engine = stack.enter_context(PrivateEngine(tls=certificates.server if certificates else None))
        pytestconfig.stash[RAW_HOST] = engine.host
        pytestconfig.stash[ENGINE_SEEN] = describe(RawEngine(engine.host))
        if endpoint == "ssh":
            server = stack.enter_context(SshServer())
            monkeypatch.setenv("PATH", f"{server.programs}:{os.environ['PATH']}")
            yield f"ssh://{server.destination}:{server.port}{engine.socket}"
        else:
            yield engine.tcp_host or engine.host


@pytest.fixture(scope="session")
def raw_host(engine_host: str, pytestconfig: pytest.Config) -> str:
    """The engine's URL, for the oracle: its Unix socket, or `--host`."""
    return pytestconfig.stash[RAW_HOST] if engine_host else ""


@pytest.fixture(scope="session")
def raw(raw_host: str) -> RawEngine:
    """The oracle: what the daemon has is asked through this, never through the code under test."""
    return RawEngine(raw_host)


@pytest.fixture(scope="session")
def busybox(raw: RawEngine) -> str:
    """The tag of a 2 MB image with sh and the usual tools; it has the users root and app."""
    return ensure_busybox(raw)


@pytest.fixture(scope="session")
def python_image(raw: RawEngine) -> str:
    """The tag of an image with Python 3.11, its standard library, and all that `busybox` has."""
    return ensure_python(raw)


@pytest.fixture
def daemon_clean(raw: RawEngine) -> Iterator[RawEngine]:
    """The oracle; after the test the daemon holds no container, volume or image of ours more than before."""
    before = ours(raw)
    yield raw
    left = ours(raw) - before
    assert not left, f"left on the daemon: {', '.join(sorted(left))}"


def ours(raw: RawEngine) -> set[str]:
    """Name all that lightrunner has on the daemon, by label or by name. Its network and its init volume stay."""
    containers = {
        f"container {thing['Names'][0].removeprefix('/')}"
        for thing in raw.containers()
        if _is_ours(thing["Names"][0].removeprefix("/"), thing["Labels"])
    }
    volumes = {f"volume {name}" for name in run_volumes(raw)}
    tags: set[str] = {tag for image in raw.images() for tag in _tags(image)}
    return containers | volumes | {f"image {tag}" for tag in tags if tag.startswith(CACHE_IMAGE)}


def run_volumes(raw: RawEngine) -> set[str]:
    """The names of all volumes of runs."""
    return {thing["Name"] for thing in raw.volumes() if _is_ours(thing["Name"], thing["Labels"])}


def _tags(image: dict[str, Any]) -> list[str]:
    return image["RepoTags"] or []  # an image without a name has null


def _is_ours(name: str, labels: dict[str, Any] | None) -> bool:
    if name.startswith(INIT_VOLUME):
        return False
    return name.startswith(NAME_PREFIX) or RUN_LABEL in (labels or {})


def describe(raw: RawEngine) -> str:
    """Tell what the engine is, in one line."""
    version = raw.version()
    api = f"API {version['MinAPIVersion']} to {version['ApiVersion']}"
    return f"{version['Version']}, {api}, kernel {version['KernelVersion']}, {version['Arch']}"
