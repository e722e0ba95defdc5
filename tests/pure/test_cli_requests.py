"""A command line as a request: what each option becomes, and what does not go together."""

import argparse
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrunner import ExtractSpec, RunnerOptions, RunRequest
from lightrunner.cli.exits import USAGE, UsageError
from lightrunner.cli.messages import CopyIn, CopyOut, Exec
from lightrunner.cli.parser import build_parser, split_command
from lightrunner.cli.request import bench_request, copy_order, exec_order, run_request, runner_options, sandbox_request
from lightrunner.cli.values import InputSource
from lightrunner.plan import check_options, check_request

EVERYTHING = [
    *("run", "python:3", "--host", "unix:///x.sock", "--dir", "src", "--ignore", "*.log", "--ignore", "tmp"),
    *("--input", "@in.json", "--env", "A=1", "-e", "HOME", "--workdir", "/w", "--setup", "pip list"),
    *("--extract", "out:./to", "--extract", "/w/a:../b", "--timeout", "5m", "--memory", "64m", "--cpus", "0.5"),
    *("--network", "none", "--runtime", "runsc", "--gpus", "all", "--allow-new-privileges"),
    *("--pids", "7", "--read-only", "--tmpfs", "/t", "--tmpfs", "/s:size=1m", "--ulimit", "nofile=9", "--disk", "1g"),
    *("--ulimit", "cpu=1:-1", "--seccomp", "p.json", "--userns", "remap", "--user", "1:2", "--hostname", "h"),
    *("--add-host", "db:::1", "--label", "a=b=c", "--cpu-timeout", "2", "--output-limit", "9", "--tty"),
    *("--platform", "linux/arm64", "--pull", "always", "--usage", "--json", "--", "python", "main.py", "a b"),
]


def parse(*arguments: str) -> tuple[argparse.Namespace, Sequence[str] | None]:
    own, command = split_command(arguments)
    return build_parser("0").parse_args(own), command


def request(*arguments: str, environ: dict[str, str] | None = None) -> RunRequest:
    """The request of a command line; a file's bytes are its name, and stdin's are ``-``."""
    args, command = parse("run", *arguments)

    def read(_: str, source: InputSource) -> bytes:
        return source.data if source.data is not None else (source.path or "-").encode()

    return run_request(args, command, environ or {}, read, resolve=lambda path: f"/resolved/{path}")


def test_the_least_of_a_command_line() -> None:
    assert check_request(request("busybox")) == check_request(RunRequest(image="busybox"))
    args, _ = parse("run", "busybox")
    # What the library takes as a number is a text here.
    assert check_options(runner_options(args)) == check_options(RunnerOptions())


def test_a_command_line_with_everything() -> None:
    args, command = parse(*EVERYTHING)
    made = run_request(args, command, {"HOME": "/h"}, lambda _option, _source: b"{}", resolve=lambda _: "/here/b")
    assert made == RunRequest(
        image="python:3",
        entrypoint="python main.py 'a b'",
        run=["pip list"],
        dir="src",
        ignore=["*.log", "tmp"],
        input=b"{}",
        timeout=300.0,
        network="none",
        env={"A": "1", "HOME": "/h"},
        workdir="/w",
        extract=[ExtractSpec("out", "./to"), ExtractSpec("/w/a", "/here/b")],
        capture_output=True,
        platform="linux/arm64",
        user="1:2",
        hostname="h",
        extra_hosts={"db": "::1"},
        labels={"a": "b=c"},
        cpu_timeout=2.0,
        output_limit=9,
        tty=True,
        pull="always",
    )
    check_request(made)
    assert runner_options(args) == RunnerOptions(
        memory="64m",
        cpus="0.5",
        runtime="runsc",
        gpus="all",
        no_new_privileges=False,
        pids=7,
        read_only=True,
        tmpfs={"/t": "", "/s": "size=1m"},
        ulimits={"nofile": 9, "cpu": (1, -1)},
        seccomp="p.json",
        userns="remap",
        disk="1g",
        usage=True,
        host="unix:///x.sock",
    )


@pytest.mark.parametrize(("text", "data"), [("[1]", b"[1]"), ("-", b"-"), ("@f", b"f"), ("null", b"null")])
def test_input(text: str, data: bytes) -> None:
    assert request("i", "--input", text).input == data


def test_secrets_are_the_contents_of_files() -> None:
    assert request("i", "--secret", "key=a=b", "--secret", "cert=/c.pem").secrets == {"key": b"a=b", "cert": b"/c.pem"}


def test_a_shell_command_line_is_taken_as_it_is() -> None:
    assert request("i", "-c", "echo $HOME | cat").entrypoint == "echo $HOME | cat"


@given(command=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
def test_a_command_reaches_the_shell_word_by_word(command: list[str]) -> None:
    import shlex  # noqa: PLC0415 - the oracle

    assert shlex.split(request("i", "--", *command).entrypoint or "") == command


def test_a_command_may_have_dashes_of_its_own() -> None:
    assert request("i", "--", "sh", "--", "-x", "--json").entrypoint == "sh -- -x --json"


def test_the_last_value_of_a_variable_counts() -> None:
    assert request("i", "-e", "A=1", "-e", "A", environ={"A": "here"}).env == {"A": "here"}


def test_output_is_captured_for_json_but_not_of_a_detached_run() -> None:
    assert request("i", "--json").capture_output
    assert not request("i").capture_output
    assert not request("i", "--json", "--detach").capture_output


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["i", "-c", "a", "--", "b"], "both --shell and a command"),
        (["i", "--"], "no command behind --"),
        (["i", "-i", "--input", "1"], "--interactive does not go together with --input"),
        (["i", "-i", "-d"], "--interactive does not go together with --detach"),
        (["i", "--env", "ABSENT"], "--env ABSENT: it is not set here"),
    ],
)
def test_what_does_not_go_together(arguments: list[str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as raised:
        request(*arguments)
    assert raised.value.status == USAGE


def test_nothing_is_read_for_a_command_line_that_is_wrong() -> None:
    args, command = parse("run", "i", "--input", "-", "--env", "ABSENT")
    with pytest.raises(UsageError):
        run_request(args, command, {}, lambda _option, _source: pytest.fail("stdin was read"))


def test_bench_takes_the_request_that_it_repeats() -> None:
    args, command = parse("bench", "i", "--setup", "true", "--network", "none", "--timeout", "9", "--", "echo", "a b")
    made = bench_request(args, command)
    assert made == RunRequest(image="i", entrypoint="echo 'a b'", run=["true"], network="none", timeout=9.0)
    assert check_options(runner_options(args)) == check_options(RunnerOptions())


def test_a_sandbox_takes_the_options_of_a_run() -> None:
    of_run = {"--input", "--extract", "--cpu-timeout", "--output-limit"}
    end = EVERYTHING.index("--")
    words: list[str] = []
    values = iter(EVERYTHING[1:end])
    for word in values:
        if word in of_run:
            next(values)
        elif word not in {"--tty", "--usage"}:
            words.append(word)
    args, _ = parse("sandbox", *words, "--expose", "80", "--expose", "81")
    run_args, command = parse(*EVERYTHING)
    assert runner_options(args) == msgspec.structs.replace(runner_options(run_args), usage=False)
    made, run = (
        sandbox_request(args, {"HOME": "/h"}),
        run_request(run_args, command, {"HOME": "/h"}, lambda _option, _source: b""),
    )
    same = ("image", "run", "dir", "ignore", "timeout", "network", "env", "workdir", "platform", "user", "hostname")
    assert [getattr(made, name) for name in same] == [getattr(run, name) for name in same]
    assert (made.extra_hosts, made.labels) == (run.extra_hosts, run.labels)
    assert args.expose == [80, 81]
    least, _ = parse("sandbox", "busybox")
    assert check_request(sandbox_request(least, {})) == check_request(RunRequest(image="busybox"))


def test_the_order_of_exec() -> None:
    def order(*arguments: str) -> Exec:
        args, command = parse("exec", "3f2a", *arguments)
        assert args.sandbox_id == "3f2a"
        return exec_order(args, command, {"HOME": "/h"}, terminal=(1, 2) if args.tty else None)

    assert order("--", "a", "--b c") == Exec(command=["a", "--b c"])
    assert order("-c", "a | b") == Exec(command="a | b")
    everything = ("-e", "HOME", "-w", "w", "-u", "1", "--timeout", "1m", "-t", "--", "a")
    assert order(*everything) == Exec(
        command=["a"], env={"HOME": "/h"}, workdir="w", user="1", timeout=60.0, terminal=(1, 2)
    )
    for wrong in ([], ["--"], ["-c", "a", "--", "b"]):
        with pytest.raises(UsageError, match="command"):
            order(*wrong)


def test_the_order_of_cp() -> None:
    def order(*arguments: str) -> tuple[str, CopyIn | CopyOut]:
        return copy_order(parse("cp", *arguments)[0], absolute=lambda path: f"/abs/{path.rstrip('/')}")

    assert order("a", "3f2a:b/") == ("3f2a", CopyIn(b"/abs/a", "b/", None))
    assert order("-u", "7", "3f2a:b", "a") == ("3f2a", CopyOut("b", b"/abs/a", "7"))
    assert order("3f2a:b", "a/") == ("3f2a", CopyOut("b", b"/abs/a/", None))
    assert order("a\udcff", "3f2a:b") == ("3f2a", CopyIn(b"/abs/a\xff", "b", None))
    for wrong in (["a", "b"], ["1:a", "2:b"]):
        with pytest.raises(UsageError, match="one of the two paths has to be in a sandbox"):
            order(*wrong)
