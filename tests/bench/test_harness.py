"""The harness counts every run, measures each variant, refuses bad arguments, and leaves nothing behind."""

import csv
import json
import time
from pathlib import Path
from typing import Any

import pytest

from bench import harness
from bench.harness import HarnessError, Plan, dispatch, measure
from bench.latencies import VARIANTS
from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, RunnerOptions, RunRequest
from tools.raw_engine import RawEngine


def request(image: str, script: str = "echo") -> RunRequest:
    return RunRequest(image=image, entrypoint=script, network="none")


# --- plans ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"samples": 0}, "samples 0: not a whole number from 1 up"),
        ({"samples": 1.5}, "samples 1.5: not a whole number from 1 up"),
        ({"samples": True}, "samples True: not a whole number from 1 up"),
        ({"warm_up": -1}, "warm_up -1: not a whole number from 0 up"),
        ({"concurrency": 0}, "concurrency 0: not a whole number from 1 up"),
        ({"samples": 3, "concurrency": 4}, "concurrency 4: more than samples, which is 3"),
        ({"variants": ()}, "variants (): not some of cold, prepared, warm"),
        ({"variants": ("cold", "hot")}, "variants ('cold', 'hot'): not some of cold, prepared, warm"),
        ({"variants": ("cold", "cold")}, "variants ('cold', 'cold'): one of them is named twice"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(HarnessError) as raised:
        Plan(request("image"), **arguments)
    assert str(raised.value) == named
    assert raised.value.argument == named.partition(" ")[0]
    assert raised.value.value == arguments[raised.value.argument]


@pytest.mark.parametrize(("samples", "concurrency", "bursts"), [(6, 3, [3, 3]), (7, 3, [3, 3, 1]), (2, 2, [2])])
def test_the_last_burst_takes_what_is_left(samples: int, concurrency: int, bursts: list[int]) -> None:
    assert Plan(request("image"), samples=samples, concurrency=concurrency).bursts == bursts


# --- measuring --------------------------------------------------------------------------------------------------------


async def test_every_variant_is_measured_for_what_it_is(
    engine_host: str, busybox: str, daemon_clean: RawEngine
) -> None:
    """Two at a time, three of each: the second burst finds the pools full again, or this would hang."""
    plan = Plan(request(busybox), samples=3, warm_up=0, concurrency=2)
    latencies = await measure(plan, RunnerOptions(host=engine_host))
    assert sorted((it.variant, it.burst) for it in latencies.samples) == [
        (name, burst) for name in VARIANTS for burst in (0, 0, 1)
    ]
    assert all(0 < (it.first_output or 0) < it.total for it in latencies.samples), "echo ends a line"
    assert {it.variant: it.timings.create > 0 for it in latencies.samples} == {
        "cold": True,
        "prepared": True,
        "warm": False,
    }
    assert latencies.where["engine"].startswith(daemon_clean.version()["Version"])
    assert json.loads(latencies.to_json())["what"]["plan"]["request"]["image"] == busybox


async def test_the_warm_up_does_not_count(engine_host: str, busybox: str, daemon_clean: RawEngine) -> None:
    begin = time.time()
    plan = Plan(request(busybox), variants=["cold"], samples=1, warm_up=2)
    latencies = await measure(plan, RunnerOptions(host=engine_host))
    started = daemon_clean.events(begin, time.time(), {"type": ["container"], "event": ["start"]})
    assert [it.burst for it in latencies.samples] == [0]
    assert len(started) == 3


@pytest.mark.usefixtures("daemon_clean")
async def test_a_run_that_fails_makes_it_void(engine_host: str, busybox: str) -> None:
    with pytest.raises(LightRunnerError, match="exited with code 3") as raised:
        await measure(Plan(request(busybox, "exit 3"), samples=1), RunnerOptions(host=engine_host))
    assert raised.value.code == LightRunnerErrorCode.RUN_UNSUCCESSFUL


async def test_a_run_without_output_has_no_first_output(engine_host: str, busybox: str) -> None:
    async with DockerRunner(host=engine_host) as runner:
        done = await dispatch(runner.run, request(busybox, "true"))
    assert done.first_output is None
    assert done.total > done.result.duration


# --- the command line -------------------------------------------------------------------------------------------------


def test_the_command_line(engine_host: str, busybox: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, whole = tmp_path / "rows.csv", tmp_path / "whole.json"
    options = ["--host", engine_host, "--samples", "2", "--warm-up", "0", "--variant", "cold", "--network", "none"]
    harness.main(
        [busybox, *options, "--csv", str(rows), "--json", str(whole), "--", "test", "two words", "=", "two words"]
    )
    assert "| cold | total of 2 |" in capsys.readouterr().out
    assert [line["variant"] for line in csv.DictReader(rows.read_text().splitlines())] == ["cold", "cold"]
    assert json.loads(whole.read_text())["what"]["plan"]["request"]["entrypoint"] == "test 'two words' = 'two words'"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["image", "--samples", "0"], "samples 0: not a whole number"),
        (["image", "--variant", "hot"], "invalid choice: 'hot'"),
        (["--samples", "1", "--", "true"], "required: image"),
    ],
)
def test_bad_arguments_on_the_command_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        harness.main(arguments)
    assert raised.value.code == 2
    assert said in capsys.readouterr().err


def test_an_error_of_the_runner_on_the_command_line() -> None:
    with pytest.raises(SystemExit, match="INVALID_REQUEST: host 'nowhere'"):
        harness.main(["image", "--host", "nowhere"])
