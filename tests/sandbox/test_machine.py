"""A sandbox against a model of it: whatever sequence of calls, files and processes are what they should be."""

# ruff: noqa: D102 - the rules' names say what they do

import string
from contextlib import suppress

import trio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from lightrunner import DockerRunner, LightRunnerError, RunRequest
from tests.sandbox.guest import TrioGuest

NAMES = st.sampled_from(["a", "b", "c d", "deep/e", "deep/er/f"])
CONTENTS = st.binary(max_size=200) | st.integers(0, 300_000).map(bytes)
WORDS = st.text(string.ascii_letters + " '\"$\\\n;é", max_size=20)
SETTINGS = settings(
    max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


class Machine(RuleBasedStateMachine):
    """Calls of one sandbox, which stays from example to example, and is emptied."""

    guest: TrioGuest

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.alive = 0

    @initialize()
    def empty(self) -> None:
        self.guest.call(lambda: self.guest.box.exec("rm -rf /app/*")).check()
        self.guest.end_processes()

    @rule(name=NAMES, content=CONTENTS)
    def write(self, name: str, content: bytes) -> None:
        self.guest.call(lambda: self.guest.box.write(name, content))
        self.files[name] = content

    @rule(name=NAMES)
    def read(self, name: str) -> None:
        found: bytes | None = None
        with suppress(LightRunnerError):
            found = self.guest.call(lambda: self.guest.box.read(name))
        assert found == self.files.get(name)

    @rule(words=st.lists(WORDS, max_size=4), code=st.integers(0, 255), content=CONTENTS)
    def execute(self, words: list[str], code: int, content: bytes) -> None:
        command = ["sh", "-c", 'cat; printf "%s|" "$@" >&2; exit $0', str(code), *words]
        result = self.guest.call(lambda: self.guest.box.exec(command, input=content))
        assert (result.exit_code, result.stdout) == (code, content)
        assert result.stderr == "".join(f"{word}|" for word in words or [""]).encode()

    @rule()
    def start_sleeper(self) -> None:
        if self.alive < 5:
            self.guest.start_process()
            self.alive += 1

    @rule()
    def kill_sleeper(self) -> None:
        if self.alive:
            self.guest.kill_process()
            self.alive -= 1

    @rule()
    def time_out(self) -> None:
        command = "(setsid sleep 99 &); sleep 99"
        assert self.guest.call(lambda: self.guest.box.exec(command, timeout=0.02)).timed_out

    @invariant()
    def only_sleepers_live(self) -> None:
        command = "ps | grep -c '[s]leep 77'; ps | grep -c '[s]leep 99'"
        result = self.guest.call(lambda: self.guest.box.exec(command))
        assert result.stdout == f"{self.alive}\n0\n".encode()


async def test_a_sandbox_is_what_its_model_says(engine_host: str, busybox: str) -> None:
    guest = Machine.guest = TrioGuest()
    request = RunRequest(image=busybox, network="none")
    async with (
        DockerRunner(host=engine_host) as runner,
        runner.sandbox(request) as box,
        trio.open_nursery() as nursery,
    ):
        guest.box, guest.nursery = box, nursery
        await trio.to_thread.run_sync(lambda: run_state_machine_as_test(Machine, settings=SETTINGS))
        nursery.cancel_scope.cancel()
