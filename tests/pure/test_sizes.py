"""Memory, cpus, gpus, time-outs and limits: the accepted forms, and the engine's number for each."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrunner.rules import sizes
from lightrunner.rules.limits import GIB, KIB, MIB
from lightrunner.rules.sizes import GpuRequest

from .violations import violation


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("512m", 512 * MIB),
        ("512M", 512 * MIB),
        ("512 MiB", 512 * MIB),
        ("512mb", 512 * MIB),
        ("1.5g", GIB + GIB // 2),
        ("0.5GB", GIB // 2),
        ("6144k", 6 * MIB),
        ("2t", 2048 * GIB),
        ("1p", 1024**5),
        ("6291456", 6 * MIB),
        ("6291456b", 6 * MIB),
        ("6m", 6 * MIB),
        (6 * MIB, 6 * MIB),
        (2**63 - 1, 2**63 - 1),
        ("9223372036854775807", 2**63 - 1),
        ("7.0000001m", 7 * MIB),
    ],
)
def test_memory(value: object, size: int) -> None:
    assert sizes.parse_memory("memory", value) == size


@given(st.integers(6 * MIB, 2**40), st.sampled_from(["b", "k", "m", "g"]), st.integers(1, 9))
def test_memory_rounds_down_to_bytes(size: int, unit: str, digits: int) -> None:
    factor = {"b": 1, "k": KIB, "m": MIB, "g": GIB}[unit]
    scaled = Fraction(size, factor) * 10**digits
    text = f"{int(scaled) // 10**digits}.{int(scaled) % 10**digits:0{digits}}{unit}"
    exact = int(Fraction(text.removesuffix(unit)) * factor)
    if exact >= 6 * MIB:
        assert sizes.parse_memory("memory", text) == exact


NO_SIZES = [
    *("", " ", "lots", "m", "512 m b", "512m ", " 512m", "512m\n", "512\0m", "-512m", "+512m", "1e9", "0x600000"),
    *(
        "1,5g",
        "1.g",
        ".5g",
        "1..5g",
        "512x",
        "512bb",
        "512ib",
        "\u0665\u0661\u0662m",
        "9999\u212a",
        "99m\u0131b",
        "9" * 21,
    ),
    *(None, True, 6e8, b"512m", [512], Decimal(512 * MIB)),
]
TOO_SMALL = [0, -1, 6 * MIB - 1, "0", "0m", "6143k", "5.999999m", -(10**30)]
TOO_LARGE = [2**63, "9223372036854775808", "8192p", "9" * 20, 10**30]


@pytest.mark.parametrize(
    ("value", "match"),
    [
        *((value, "not a size") for value in NO_SIZES),
        *((value, r"below the engine's minimum of 6291456 bytes \(6m\)") for value in TOO_SMALL),
        *((value, "above the engine") for value in TOO_LARGE),
    ],
)
def test_memory_that_is_refused(value: object, match: str) -> None:
    with violation("memory", value, match):
        sizes.parse_memory("memory", value)


@pytest.mark.parametrize(
    ("value", "nano"),
    [
        (1, 10**9),
        (0.5, 5 * 10**8),
        ("1.5", 15 * 10**8),
        ("2", 2 * 10**9),
        (".25", 25 * 10**7),
        ("1.", 10**9),
        (0.01, 10**7),
        ("0.01", 10**7),
        (0.1 + 0.2, 3 * 10**8),
        (999_999_999, 999_999_999 * 10**9),
    ],
)
def test_cpus(value: object, nano: int) -> None:
    assert sizes.parse_cpus("cpus", value) == nano


NO_CPUS = [
    *("", "all", "one", "-1", "+1", "1e3", "nan", "inf", "1,5", " 1", "1 ", "1\n", ".", "\u0663"),
    *(None, True, False, b"1", [1], Fraction(1, 2)),
]
OUT_OF_RANGE = [0, -1, 0.0099, "0", "0.009", -0.0, math.nan, -math.inf, math.inf, 10**9, 1e9, 10**400]


@pytest.mark.parametrize(
    ("value", "match"),
    [*((value, "such as 1") for value in NO_CPUS), *((value, "at least 0.01") for value in OUT_OF_RANGE)],
)
def test_cpus_that_are_refused(value: object, match: str) -> None:
    # NaN is not equal to itself, but a tuple compares by identity first.
    with violation("cpus", value, match):
        sizes.parse_cpus("cpus", value)


@pytest.mark.parametrize(
    ("value", "request_"),
    [
        ("all", GpuRequest(-1)),
        (1, GpuRequest(1)),
        ("2", GpuRequest(2)),
        ("count=all", GpuRequest(-1)),
        ("count=2", GpuRequest(2)),
        (2**31 - 1, GpuRequest(2**31 - 1)),
        ("device=0", GpuRequest(0, ("0",))),
        ("device=0,1,GPU-1a2b/3", GpuRequest(0, ("0", "1", "GPU-1a2b/3"))),
        ("driver=nvidia", GpuRequest(-1, driver="nvidia")),
        ("count=2,driver=nvidia", GpuRequest(2, driver="nvidia")),
        ("device=0,1,driver=nvidia", GpuRequest(0, ("0", "1"), "nvidia")),
        ("all,capabilities=utility,gpu,compute", GpuRequest(-1, capabilities=("gpu", "utility", "compute"))),
    ],
)
def test_gpus(value: object, request_: GpuRequest) -> None:
    assert sizes.parse_gpus("gpus", value) == request_


NOT_SHELL_SAFE = [
    *("", "all; rm -rf /", "$(id)", "`id`", "a b", "device='0'", 'device="0"', "a\n", "a|b", "a&b", "a>b", "a*", "a?"),
    *("a\\b", "\0", "~", "#", "!", "{0,1}", "ä", "x" * 1025, None, True, 1.0, b"all", ["all"]),
]
NO_COUNTS = [0, -1, 2**31, "0", "-1", "none", "count=x", "ALL", "device", "2147483648"]


@pytest.mark.parametrize(
    ("value", "match"),
    [
        *((value, "shell-safe") for value in NOT_SHELL_SAFE),
        *((value, "not a count") for value in NO_COUNTS),
        *((text, "given twice") for text in ("=1", "foo=1", "count=1,count=2", "all,count=1", "device=0,Driver=x")),
        *((text, "empty") for text in (",", "all,", "device=", "device=0,,1", "driver=", "count=")),
        *(
            (text, "give one of them")
            for text in ("1,2", "count=1,2", "count=1,device=0", "all,device=0", "device=0,count=1")
        ),
        ("driver=a,b", "more than one driver"),
    ],
)
def test_gpus_that_are_refused(value: object, match: str) -> None:
    with violation("gpus", value, match):
        sizes.parse_gpus("gpus", value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, math.inf), (30, 30.0), (0.001, 0.001), (math.inf, math.inf), (10**400, math.inf), (5e-324, 5e-324)],
)
def test_timeouts(value: object, seconds: float) -> None:
    assert sizes.parse_timeout("timeout", value) == seconds


@pytest.mark.parametrize(
    ("value", "match"),
    [
        *((value, "more than 0") for value in (0, 0.0, -0.0, -1, -math.inf, math.nan, -(10**400))),
        *((value, "not a number of seconds") for value in ("30", True, False, b"1", [1], Decimal(1))),
    ],
)
def test_timeouts_that_are_refused(value: object, match: str) -> None:
    with violation("timeout", value, match):
        sizes.parse_timeout("timeout", value)


@pytest.mark.parametrize(("value", "seconds"), [(0, 0.0), (1.5, 1.5), (math.inf, math.inf), (10**400, math.inf)])
def test_ages(value: object, seconds: float) -> None:
    assert sizes.parse_age("max_age", value) == seconds


@pytest.mark.parametrize("value", [-1, -0.1, math.nan, True, "1", None, -(10**400)])
def test_ages_that_are_refused(value: object) -> None:
    with violation("max_age", value, "seconds, 0 or more"):
        sizes.parse_age("max_age", value)


@pytest.mark.parametrize("value", [1, GIB, 2**70])
def test_counts_and_byte_limits(value: int) -> None:
    assert sizes.parse_count("size", value) == value
    assert sizes.parse_byte_limit("max_extract_bytes", value) == value


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "1g", None, math.inf])
def test_counts_and_byte_limits_that_are_refused(value: object) -> None:
    with violation("size", value, "int of at least 1"):
        sizes.parse_count("size", value)
    with violation("max_extract_bytes", value, "int of at least 1 byte"):
        sizes.parse_byte_limit("max_extract_bytes", value)
