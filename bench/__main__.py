"""The command line: ``python -m bench``, or ``./dev bench``."""

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import trio

from .cases import CASES
from .disk import Disk, fresh_disk
from .machine import describe
from .plots import plot
from .report import Report, case_lines
from .sampling import Case, measure
from .soak import DEFAULT_RUNS, soak
from .stage import engine_at, open_stage

_SOAK = "soak"
_RESULTS = Path(__file__).parent / "results"


async def run(host: str, disk: Disk, names: Sequence[str], *, quick: bool, seed: int, folder: Path) -> Report:
    """Measure the cases and write the report, anew after each of them: an interrupted run has what it had."""
    rng = random.Random(seed)  # noqa: S311 - an order, not a secret
    async with open_stage(host, disk.folder, quick=quick) as stage:
        report = Report(where=describe(host) | {"disk": disk.kind}, missing=stage.missing, quick=quick)
        for name, why in stage.missing.items():
            print(f"missing: {name}: {why}")
        for name in names:
            begin = time.monotonic()
            async with CASES[name](stage) as case:
                if not case.contenders:
                    print(f"left out: {name}: {case.title}")
                    continue
                done = report.add(case, await measure(case, rng, _progress(case)))
            print(f"\r{name}: {time.monotonic() - begin:.0f} s{' ' * 20}", file=sys.stderr, flush=True)
            print("\n".join(case_lines(done)), flush=True)
            plot(done, folder)
            report.write(folder)
    return report


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, measure, and tell where the results are."""
    parser = argparse.ArgumentParser("./dev bench", description="Measure lightrunner beside its peers.")
    parser.add_argument("--quick", action="store_true", help="few rounds: about three minutes")
    names_help = f"{', '.join(CASES)}; {_SOAK}, which is by itself"
    parser.add_argument("--case", action="append", choices=[*CASES, _SOAK], metavar="NAME", help=names_help)
    parser.add_argument("--runs", type=int, default=DEFAULT_RUNS, help=f"of {_SOAK}; {DEFAULT_RUNS} by default")
    parser.add_argument("--host", help="this engine in place of a private one")
    parser.add_argument("--seed", type=int, default=0, help="of the shuffling")
    options = parser.parse_args(arguments)
    folder = _RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    names: list[str] = options.case or list(CASES)
    folder.mkdir(parents=True)
    if _SOAK in names:
        sys.exit(_soak(options.host, options.runs, folder))
    with fresh_disk() as disk, engine_at(options.host, disk.folder) as host:
        measuring = partial(run, host, disk, names, quick=options.quick, seed=options.seed, folder=folder)
        report = trio.run(measuring)
    missed = [f"{case.name}: {it.goal}: {it}" for case in report.cases for it in case.verdicts if not it.met]
    print(f"goals missed: {len(missed)}", *missed, sep="\n  ")
    print(f"results: {folder}")


def _soak(host: str | None, runs: int, folder: Path) -> int:
    """Soak, and report. Return the exit status: whether everything was as it has to be."""

    def tell(done: int) -> None:
        print(f"\rsoak: {done} of {runs} ", end="", file=sys.stderr, flush=True)

    with fresh_disk() as disk, engine_at(host, disk.folder) as url:
        found = trio.run(partial(soak, url, runs, on_progress=tell))
    print("", *found.lines(), f"results: {folder}", sep="\n", flush=True)
    found.write(folder)
    return 1 if found.failures else 0


def _progress(case: Case) -> Callable[[int], None]:
    def tell(round_number: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{case.name}: round {round_number} of {case.rounds} ", end="", file=sys.stderr, flush=True)

    return tell


if __name__ == "__main__":
    main()
