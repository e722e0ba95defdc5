"""The project that the demo runs in a container: JSON on stdin, progress on stdout, a file as the result."""

import json
import sys
from pathlib import Path


def fibonacci(n: int) -> list[int]:
    """Return the first `n` Fibonacci numbers."""
    numbers = [0, 1]
    while len(numbers) < n:
        numbers.append(numbers[-2] + numbers[-1])
    return numbers[:n]


request = json.load(sys.stdin)
print(f"computing {request['n']} numbers", flush=True)
numbers = fibonacci(request["n"])
print(f"the last one is {numbers[-1]}", flush=True)
print("nobody but this container sees this folder", file=sys.stderr)
Path("result.json").write_text(json.dumps({"task": request["task"], "numbers": numbers}))
