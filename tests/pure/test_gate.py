"""The gate in real shells: a command sees what it would see if the daemon had started it directly."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lightrunner.rules.gate import dispatch_script, gate_script

NONCE = "5f0c3a"
SHELLS = [argv for argv in (["dash"], ["busybox", "sh"], ["bash", "--posix"]) if shutil.which(argv[0])]
"""Debian's and Ubuntu's, Alpine's, Fedora's: between them, nearly every image's sh."""
PATH = "/usr/bin:/bin"
IMAGE = {"PATH": PATH, "LANG": "C.UTF-8"}

ENVIRONMENT = ["cat", "/proc/self/environ"]
ARGUMENTS = ["printf", r"%s\0"]

# NUL cannot be in an argument, and lone surrogates are no UTF-8.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
# What means something to some shell; bytes 0x80 to 0x9f, which dash uses inside; 0x01 and 0x7f, which bash does.
nasty_texts = st.text(st.sampled_from("'\"\\$`!*?[]{}()<>|&;#~^%=- \t\r\n\x01\x7f\x81\u0088ÁÈ€🐋a1"), max_size=40)
values = texts | nasty_texts
environments = st.dictionaries(st.from_regex(r"[A-Z_a-z][A-Z_a-z0-9]{0,8}", fullmatch=True), values, max_size=6)


@pytest.fixture(params=SHELLS, ids=" ".join, scope="module")
def shell(request: pytest.FixtureRequest) -> list[str]:
    """What the image calls sh."""
    argv: list[str] = request.param
    return argv


def through_gate(
    shell: Sequence[str],
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    image: Mapping[str, str] = IMAGE,
    *,
    stdin: bytes | None = b"",
) -> subprocess.CompletedProcess[bytes]:
    """The command, run as a warm container runs it. Its output comes without what the gate says."""
    entries = [f"{name}={value}" for name, value in (env or {}).items()]
    image_entries = [f"{name}={value}" for name, value in image.items()]
    line = dispatch_script(command, entries, image_entries, has_input=stdin is not None)
    return opened(shell, line + (stdin or b""), image)


def opened(shell: Sequence[str], said: bytes, image: Mapping[str, str] = IMAGE) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [*shell, "-c", gate_script(NONCE)], input=said, env=image, capture_output=True, check=False, timeout=60
    )
    prefix = f"{NONCE}\n".encode()
    assert done.stdout.startswith(prefix)
    done.stdout = done.stdout.removeprefix(prefix)
    return done


def directly(command: Sequence[str], env: Mapping[str, str], *, stdin: bytes) -> bytes:
    """The output of the command as a cold start has it."""
    return subprocess.run(command, input=stdin, env=env, capture_output=True, check=True, timeout=60).stdout


def entries(environ: bytes) -> list[bytes]:
    return sorted(environ.split(b"\0"))


def shells_variables(shell: Sequence[str]) -> set[str]:
    """All variables that a shell has by itself, those that it computes included."""
    listing = "compgen -v" if "bash" in shell else "set"
    output = subprocess.run([*shell, "-c", listing], env=IMAGE, capture_output=True, check=True, text=True).stdout
    return set(re.findall(r"^(\w+)(?:=|$)", output, re.MULTILINE)) - {"PATH", "TMOUT"}


# --- the environment, the arguments, the input ------------------------------------------------------------------------


@settings(max_examples=20)
@given(env=environments, stdin=st.binary(max_size=60))
@example(env={"EMPTY": "", "LINES": "\none\n\ntwo\n", "QUOTES": "'\"'\\''", "UTF8": "\x81\x88Á€"}, stdin=b"\n\0'\xff")
def test_environment_and_input_are_those_of_a_direct_start(shell: list[str], env: dict[str, str], stdin: bytes) -> None:
    done = through_gate(shell, [*ENVIRONMENT, "-"], env, stdin=stdin)
    expected = directly(ENVIRONMENT, IMAGE | env, stdin=b"")
    assert entries(done.stdout[: len(expected)]) == entries(expected)
    assert (done.stdout[len(expected) :], done.stderr) == (stdin, b"")


@settings(max_examples=20)
@given(words=st.lists(values, max_size=5))
@example(words=["", "'", "''", "\n", "-n", "two words", "$(id)", "`id`", "${x}", "a\\", "\x81\x88"])
def test_arguments_arrive_as_they_are(shell: list[str], words: list[str]) -> None:
    command = [*ARGUMENTS, *words]
    assert through_gate(shell, command).stdout == directly(command, IMAGE, stdin=b"")


@given(env=environments, words=st.lists(values, min_size=1, max_size=5))
def test_a_dispatch_is_one_line(env: dict[str, str], words: list[str]) -> None:
    line = dispatch_script(words, [f"{name}={value}" for name, value in env.items()], [], has_input=True)
    assert line.index(b"\n") == len(line) - 1


@pytest.mark.parametrize("value", ["x" * 100_000, "\n" * 20_000, "'" * 20_000, "\u0081" * 50_000])
def test_large_values_arrive_as_they_are(shell: list[str], value: str) -> None:
    command = [*ARGUMENTS, value]
    assert through_gate(shell, command).stdout == directly(command, IMAGE, stdin=b"")
    seen = through_gate(shell, ["printenv", "LARGE"], {"LARGE": value}).stdout
    assert seen == f"{value}\n".encode()


def test_a_large_input_arrives_as_it_is(shell: list[str]) -> None:
    stdin = bytes(range(256)) * 4096
    assert through_gate(shell, ["cat"], stdin=stdin).stdout == stdin


# --- names that belong to the shell -----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["7", "", "a:b c"])
def test_the_request_may_use_the_names_of_the_shells_own_variables(shell: list[str], value: str) -> None:
    names = shells_variables(shell) | {"HOME", "ENV", "SHLVL", "_", "OLDPWD", "OPTARG", "LC_ALL", "BASH_ENV", "CDPATH"}
    assert {"IFS", "OPTIND", "PPID", "PS4"} <= names
    env = dict.fromkeys(names, value)
    done = through_gate(shell, ENVIRONMENT, env)
    assert (entries(done.stdout), done.stderr) == (
        entries(directly(ENVIRONMENT, IMAGE | env, stdin=b"")),
        b"",
    )


def test_the_image_may_use_them_as_well(shell: list[str]) -> None:
    # A number, since with anything else in OPTIND no dash starts, cold or warm.
    image = IMAGE | dict.fromkeys(shells_variables(shell) | {"SHLVL", "_", "OLDPWD", "HOME"}, "7")
    seen = through_gate(shell, ENVIRONMENT, image=image).stdout
    assert entries(seen) == entries(directly(ENVIRONMENT, image, stdin=b""))


def test_the_image_may_use_names_that_no_shell_has_variables_for(shell: list[str]) -> None:
    image = IMAGE | {"spring.profile": "a b", "with-dash": "'", "1": "one", "ÜMLAUT": "ü"}
    seen = through_gate(shell, ENVIRONMENT, image=image).stdout
    assert entries(seen) == entries(directly(ENVIRONMENT, image, stdin=b""))


def test_the_request_overrides_what_the_image_has_of_them(shell: list[str]) -> None:
    image = IMAGE | {"IFS": "image", "PS4": "image", "PLAIN": "image"}
    done = through_gate(shell, ["printenv", "IFS", "PS4", "PLAIN"], {"IFS": "request", "PLAIN": "request"}, image)
    assert done.stdout == b"request\nimage\nrequest\n"


# --- the program ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("env", [{}, {"UID": "7", "IFS": "n"}], ids=["by export", "by env"])
def test_programs_are_found_in_the_requests_path(shell: list[str], env: dict[str, str], tmp_path: Path) -> None:
    # Only there, and nothing else is in it.
    (tmp_path / "show").symlink_to(str(shutil.which("printenv")))
    done = through_gate(shell, ["show", "PATH"], env | {"PATH": str(tmp_path)})
    assert (done.stdout, done.stderr) == (f"{tmp_path}\n".encode(), b"")


def test_a_program_that_is_not_there_is_exit_code_127(shell: list[str]) -> None:
    done = through_gate(shell, ["no-such-program"])
    assert (done.returncode, done.stdout) == (127, b"")
    assert b"no-such-program" in done.stderr


def test_an_exit_code_and_a_signal_are_the_programs_own(shell: list[str]) -> None:
    assert through_gate(shell, ["sh", "-c", "exit 42"]).returncode == 42
    assert through_gate(shell, ["sh", "-c", "kill -s USR1 $$"]).returncode == -signal.SIGUSR1


@pytest.mark.parametrize("stdin", [None, b""], ids=["no stdin", "stdin"])
def test_signals_umask_folder_and_descriptors_are_those_of_a_direct_start(
    shell: list[str], stdin: bytes | None
) -> None:
    status = ["cat", "/proc/self/status"]
    inherited = re.compile(rb"^(?:Sig(?!Q)|Shd|Umask|PPid).*", re.MULTILINE)
    seen = inherited.findall(through_gate(shell, status, stdin=stdin).stdout)
    assert seen == inherited.findall(directly(status, IMAGE, stdin=b""))
    assert len(seen) == 7
    assert through_gate(shell, ["readlink", "/proc/self/cwd"], stdin=stdin).stdout == f"{Path.cwd()}\n".encode()
    descriptors = through_gate(shell, ["ls", "/proc/self/fd"], stdin=stdin).stdout
    assert descriptors == b"0\n1\n2\n3\n"  # 3 is the folder that is being listed.


def test_without_an_input_stdin_is_dev_null(shell: list[str]) -> None:
    assert through_gate(shell, ["readlink", "/proc/self/fd/0"], stdin=None).stdout == f"{os.devnull}\n".encode()


# --- the gate itself --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [b"", b"echo ran; exec echo ran"])
def test_where_stdin_ends_before_the_line_nothing_runs(shell: list[str], said: bytes) -> None:
    done = opened(shell, said)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_an_image_s_tmout_does_not_end_the_wait(shell: list[str]) -> None:
    image = IMAGE | {"TMOUT": "1"}
    gate = [*shell, "-c", gate_script(NONCE)]
    with subprocess.Popen(gate, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=image) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        line = dispatch_script(["printenv", "TMOUT"], [], [], has_input=True)
        assert process.communicate(line)[0] == f"{NONCE}\n1\n".encode()
