"""`lightrunner.asyncio` has the names, parameters and defaults of the trio classes."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import trio

import lightrunner
import lightrunner.asyncio

PAIRS: list[tuple[type, type]] = [
    (lightrunner.DockerRunner, lightrunner.asyncio.DockerRunner),
    (lightrunner.Execution, lightrunner.asyncio.Execution),
    (lightrunner.MapResults, lightrunner.asyncio.MapResults),
    (lightrunner.Sandbox, lightrunner.asyncio.Sandbox),
    (lightrunner.SandboxPool, lightrunner.asyncio.SandboxPool),
    (lightrunner.SandboxProcess, lightrunner.asyncio.SandboxProcess),
    (lightrunner.WarmPool, lightrunner.asyncio.WarmPool),
    (lightrunner.SwarmPool, lightrunner.asyncio.SwarmPool),
    (lightrunner.SwarmRunner, lightrunner.asyncio.SwarmRunner),
]

OF_THE_RUN = {
    *(
        "kill",
        "kill_as_asked",
        "is_running",
        "request_kill",
        "wait_kill_requested",
        "wait_exited",
        "set_exited",
        "seal",
        "finish",
    ),
    "asked_for",
}
"""`Execution`'s methods that are for the run itself."""

ELSEWHERE = {
    (lightrunner.WarmPool, "open"),
    (lightrunner.SwarmPool, "open"),
    (lightrunner.SandboxPool, "open"),
    (lightrunner.MapResults, "run_all"),
    *((lightrunner.Execution, name) for name in OF_THE_RUN),
}


def public(cls: type) -> dict[str, Any]:
    return {
        name: value for one in reversed(cls.__mro__) for name, value in vars(one).items() if not name.startswith("_")
    }


def parameters(function: Callable[..., Any]) -> dict[str, tuple[object, object]]:
    """Name, kind and default of each parameter, without trio's."""
    signature = inspect.signature(function)
    return {
        name: (parameter.kind, parameter.default)
        for name, parameter in signature.parameters.items()
        if name != "task_status"
    }


@pytest.mark.parametrize(("trio_class", "asyncio_class"), PAIRS, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_the_asyncio_class_has_every_name(trio_class: type, asyncio_class: type) -> None:
    wanted = {name for name in public(trio_class) if (trio_class, name) not in ELSEWHERE}
    missing = wanted - set(public(asyncio_class))
    assert not missing, f"add to lightrunner.asyncio.{asyncio_class.__name__}: {sorted(missing)}"
    for name in wanted:
        ours, theirs = public(trio_class)[name], public(asyncio_class)[name]
        assert isinstance(ours, property) == isinstance(theirs, property)
        if not isinstance(ours, property):
            assert parameters(ours) == parameters(theirs), name


def test_the_runners_take_the_same_options() -> None:
    assert parameters(lightrunner.SwarmRunner) == parameters(lightrunner.asyncio.SwarmRunner)
    assert parameters(lightrunner.DockerRunner) == parameters(lightrunner.asyncio.DockerRunner)
    options = lightrunner.asyncio.DockerRunner(memory="32m", max_concurrent=3).options
    assert options == lightrunner.DockerRunner(memory="32m", max_concurrent=3).options


def test_a_trio_limiter_is_refused() -> None:
    with pytest.raises(lightrunner.LightRunnerError, match=r"max_concurrent.*a trio limiter"):
        lightrunner.asyncio.DockerRunner(max_concurrent=trio.CapacityLimiter(1))
    with pytest.raises(lightrunner.LightRunnerError, match=r"max_concurrent.*a trio limiter"):
        lightrunner.asyncio.SwarmRunner(node_hosts="ssh://{hostname}", max_concurrent=trio.CapacityLimiter(1))


def test_the_packages_export_the_same_names() -> None:
    ours = {name for name, value in vars(lightrunner).items() if inspect.isclass(value) or inspect.isfunction(value)}
    theirs = set(vars(lightrunner.asyncio))
    of_scripts = {name for name in ours if name.endswith("_sync")}
    assert ours - of_scripts <= theirs


def test_asyncio_is_imported_by_those_who_use_it() -> None:
    program = "import sys, lightrunner; assert 'asyncio' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
