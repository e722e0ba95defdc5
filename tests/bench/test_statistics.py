"""Medians, percentiles, ratios and their intervals: the figures that the benchmarks print."""

import random
from statistics import median

import pytest

from bench.statistics import Estimate, estimate, p95, percentile, ratio


def noisy(middle: float, count: int = 30, seed: int = 0) -> list[float]:
    rng = random.Random(seed)  # noqa: S311  # samples, not secrets
    return [rng.gauss(middle, middle / 10) for _ in range(count)]


@pytest.mark.parametrize(("share", "value"), [(0, 1), (0.25, 2), (0.5, 3), (0.9, 4.6), (1, 5)])
def test_percentiles_lie_between_the_values(share: float, value: float) -> None:
    assert percentile([5, 3, 1, 4, 2], share) == pytest.approx(value)


def test_one_value_is_every_percentile() -> None:
    assert percentile([7], 0.95) == 7
    assert estimate([7]) == Estimate(7, 7, 7)


def test_19_intervals_of_20_hold_what_the_values_vary_around() -> None:
    intervals = [estimate(noisy(10, seed=seed)) for seed in range(40)]
    assert all(it.low <= it.value <= it.high for it in intervals)
    assert 34 <= sum(it.low < 10 < it.high for it in intervals) < 40, "neither too narrow nor too wide"


def test_an_interval_narrows_with_more_values() -> None:
    few, many = estimate(noisy(10, 10)), estimate(noisy(10, 1000))
    assert many.high - many.low < (few.high - few.low) / 2


def test_another_figure() -> None:
    values = noisy(10)
    assert estimate(values, p95).value == p95(values) > median(values)


def test_what_slows_both_sides_down_in_a_round_does_not_blur_their_ratio() -> None:
    base = [value * slow for value, slow in zip(noisy(10), noisy(5, seed=1), strict=True)]
    assert ratio([2 * value for value in base], base) == pytest.approx(Estimate(2, 2, 2))


def test_19_intervals_of_20_hold_the_ratio() -> None:
    intervals = [ratio(noisy(10, seed=seed), noisy(5, seed=seed + 1000)) for seed in range(40)]
    assert all(it.low <= it.value <= it.high for it in intervals)
    assert 34 <= sum(it.low < 2 < it.high for it in intervals) < 40, "neither too narrow nor too wide"


def test_a_ratio_upside_down_is_the_inverse() -> None:
    one, other = noisy(10), noisy(5, seed=1)
    assert ratio(one, other).value == pytest.approx(1 / ratio(other, one).value)


def test_outliers_do_not_move_a_ratio_far() -> None:
    base = noisy(10)
    values = noisy(20, seed=1)
    usual = ratio(values, base)
    values[3] *= 50
    values[17] *= 20
    assert usual.low < ratio(values, base).value < usual.high


def test_the_same_samples_give_the_same_report() -> None:
    assert ratio(noisy(3), noisy(4, seed=1)) == ratio(noisy(3), noisy(4, seed=1))
