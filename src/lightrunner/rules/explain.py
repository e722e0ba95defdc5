"""One sentence about a run's end, for a person. Pure."""

from typing import NamedTuple

from .limits import GIB, KIB, MIB
from .verdict import Outcome, reported_signal, signal_name

_WHAT = {
    4: "illegal instruction",
    6: "abort",
    7: "bus error",
    8: "arithmetic error",
    11: "segmentation fault",
    31: "forbidden system call",
}
_UNITS = ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB"))


class Ending(NamedTuple):
    """The end of a run. Times are in seconds, sizes in bytes; a limit of 0 is unknown."""

    outcome: Outcome
    exit_code: int
    signal: int | None
    duration: float
    oom_killed: bool = False
    cpu_timeout: float = 0.0
    memory: int = 0
    output_limit: int = 0


def explain(ending: Ending) -> str:
    """Return one sentence without a full stop, such as ``killed after 5.0 s: the time limit``."""
    after = f"after {ending.duration:.1f} s"
    limit = f" than {_size(ending.memory)}" if ending.memory else " memory than allowed"
    match ending.outcome:
        case Outcome.TIMED_OUT:
            sentence = f"killed {after}: the time limit"
        case Outcome.CPU_TIMED_OUT:
            used = f" of {ending.cpu_timeout:g} s" if ending.cpu_timeout else ""
            sentence = f"killed {after}: the CPU time limit{used}"
        case Outcome.OUT_OF_MEMORY:
            return f"the kernel killed it {after} for using more{limit}"
        case Outcome.OUTPUT_LIMIT:
            size = f" of {_size(ending.output_limit)}" if ending.output_limit else ""
            killed = f"killed {after}:" if ending.signal else f"exited with {_code(ending)} {after}, over"
            sentence = f"{killed} the output limit{size}"
        case Outcome.CANCELLED:
            sentence = f"cancelled {after}"
        case Outcome.STOPPED:
            sentence = f"stopped {after}, with {_code(ending)}"
        case Outcome.SIGNALED:
            number = ending.signal or 0
            what = f" ({_WHAT[number]})" if number in _WHAT else ""
            sentence = f"killed by {signal_name(number)}{what} {after}"
        case _:
            sentence = f"exited with {_code(ending)} {after}"
    if ending.oom_killed:
        sentence += f"; the kernel had killed a process of it for using more{limit}"
    return sentence


def _code(ending: Ending) -> str:
    number = None if ending.signal else reported_signal(ending.exit_code)
    hint = f" (a shell's code for a child killed by {signal_name(number)})" if number is not None else ""
    return f"code {ending.exit_code}{hint}"


def _size(number: int) -> str:
    for unit, name in _UNITS:
        if number >= unit:
            return f"{number / unit:.4g} {name}"
    return f"{number} bytes"
