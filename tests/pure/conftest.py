"""Hypothesis for all of this folder: no deadline on a shared machine, and in CI the same examples every time."""

import os

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("tests.pure.feeding")

settings.register_profile("lightrunner", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("lightrunner")
