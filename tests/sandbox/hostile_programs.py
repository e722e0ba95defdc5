"""Programs for a sandbox that do not want to end. They run inside it, on Python 3.11."""

# ruff: noqa: T201 - they print what they found
import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress

libc = ctypes.CDLL(None, use_errno=True)


def forget_signals() -> None:
    for number in range(1, 32):
        try:
            signal.signal(number, signal.SIG_IGN)
        except OSError:
            continue


def bomb() -> None:
    """Fork without end, in sessions of its own."""
    forget_signals()
    while True:
        try:
            if os.fork() == 0:
                os.setsid()
        except OSError:
            pass


def run_away() -> None:
    """Be another process all the time: the child lives on, the parent exits."""
    while True:
        try:
            if os.fork():
                os._exit(0)
        except OSError:
            time.sleep(0)


def runner() -> None:
    """Several such, while the first process waits."""
    for _ in range(8):
        if os.fork() == 0:
            os.setsid()
            run_away()
    time.sleep(1000)


def reaping_runner() -> None:
    """The same below a subreaper of its own, which lets no zombie stay."""
    for _ in range(4):
        if os.fork() == 0:
            libc.prctl(36, 1)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            if os.fork() == 0:
                run_away()
            time.sleep(1000)
    time.sleep(1000)


def threads() -> None:
    """Threads that run on and fork, though their first one has exited."""
    if os.fork():
        time.sleep(1000)

    def work() -> None:
        while True:
            try:
                if os.fork() == 0:
                    time.sleep(1000)
            except OSError:
                time.sleep(0.01)

    for _ in range(4):
        threading.Thread(target=work, daemon=True).start()
    libc.pthread_exit(None)


def killer() -> None:
    """Kill everything else all the time, one's supervisor included."""
    forget_signals()
    for _ in range(3):
        os.fork()
    while True:
        with suppress(OSError):
            os.kill(-1, signal.SIGKILL)
        os.fork()


def stopper() -> None:
    """Stop one's supervisor, and have others go on."""
    for _ in range(3):
        os.fork()
    while True:
        for pid in (os.getppid(), -1):
            for number in (signal.SIGSTOP, signal.SIGCONT):
                try:
                    os.kill(pid, number)
                except OSError:
                    continue
        if os.fork() == 0:
            time.sleep(1000)


def leaver() -> None:
    """Exit at once, and leave a bomb."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            bomb()
        os._exit(0)
    os._exit(7)


def errno_of(path: str) -> int:
    try:
        os.read(os.open(path, os.O_RDONLY), 1)
    except OSError as error:
        return error.errno or 0
    return 0


def reach_of(pid: int) -> None:
    for name in ("fd/0", "mem", "environ"):
        print(name, errno_of(f"/proc/{pid}/{name}"))
    libc.ptrace(16, pid, 0, 0)  # PTRACE_ATTACH
    print("ptrace", ctypes.get_errno())


def reach() -> None:
    reach_of(1)
    try:
        os.open("/.light-runner/other", os.O_WRONLY | os.O_CREAT)
    except OSError as error:
        print("program", error.errno)


def reach_parent() -> None:
    reach_of(os.getppid())


if __name__ == "__main__":
    globals()[sys.argv[1]]()
