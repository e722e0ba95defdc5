"""``python -m fuzz``, started by ``./dev fuzz``: run the targets in turn, and report their speed and findings."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from fuzz.harness import fuzz
from fuzz.regressions import save
from fuzz.targets import ENGINE_TARGETS, TARGETS, Target, engine_targets
from tools.private_engine import PrivateEngine

_TURN = 20.0
"""Seconds that a target has before it is the next one's turn."""


def main(arguments: Sequence[str]) -> int:
    """Fuzz as the arguments say; 1 where something was found."""
    parser = argparse.ArgumentParser("./dev fuzz", description=__doc__)
    names = [*(target.name for target in TARGETS), *ENGINE_TARGETS]
    parser.add_argument("--minutes", type=float, default=1.0, help="for all targets together (default: 1)")
    parser.add_argument("--target", action="append", choices=names, help="this one alone; may be repeated")
    parser.add_argument("--host", help="the engine for the targets that need one, in place of a private one")
    options = parser.parse_args(arguments)
    wanted: list[str] = options.target or names
    with ExitStack() as stack:
        targets = [target for target in TARGETS if target.name in wanted]
        if set(wanted) & set(ENGINE_TARGETS):
            host = _host(options.host, stack)
            if host is None:
                print(f"left out, since they need root or --host: {', '.join(ENGINE_TARGETS)}")
            else:
                targets += [target for target in engine_targets(host) if target.name in wanted]
        return _run(targets, 60 * options.minutes)


def _host(host: str | None, stack: ExitStack) -> str | None:
    if host is None and os.geteuid() == 0 and shutil.which("dockerd") is not None:
        return stack.enter_context(PrivateEngine()).host
    return host


def _run(wanted: Sequence[Target], seconds: float) -> int:
    targets: list[Target] = [*wanted]
    examples = dict.fromkeys([target.name for target in targets], 0)
    spent = dict.fromkeys(examples, 0.0)
    found: list[str] = []
    left = seconds
    while left > 0 and targets:
        turn = min(_TURN, left / len(targets))
        for target in targets:
            outcome = fuzz(target, turn)
            examples[target.name] += outcome.examples
            spent[target.name] += outcome.seconds
            rate = examples[target.name] / spent[target.name]
            print(f"{target.name}: {examples[target.name]} examples, {rate:.0f} a second", flush=True)
            if outcome.error is not None:
                value = outcome.failing[0]
                why = f"{type(outcome.error).__name__}: {str(outcome.error)[:200]}"
                print(f"{target.name}: found {value!r:.500}\n  {why}\n  kept in {save(target.name, value, why)}")
                found.append(target.name)
        left = seconds - sum(spent.values())
        targets = [target for target in targets if target.name not in found]  # Found once, it is found again.
    print(f"{sum(examples.values())} examples in {sum(spent.values()):.0f} s; {_told(found)}")
    return 1 if found else 0


def _told(found: Sequence[str]) -> str:
    return f"found something: {', '.join(found)}" if found else "found nothing"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
