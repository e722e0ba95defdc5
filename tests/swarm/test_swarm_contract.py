"""The contract of all engines, on a swarm: the tests are those of tests/contract, the fixtures this folder's."""

import pytest

from tests.contract import test_endings, test_files, test_networks_and_warm, test_results, test_streams

pytestmark = pytest.mark.private_engine

BEYOND = {
    "test_prepared_networks",  # they are of one daemon
    "test_a_missing_runtime",  # a service has none: it is the daemons' default
}
"""What a swarm cannot do."""

for module in (test_endings, test_files, test_networks_and_warm, test_results, test_streams):
    for name, value in vars(module).items():
        # With the fixtures of the modules: a test's own come from the module that it is collected in.
        if name.startswith("test_") and name not in BEYOND:
            globals()[name] = value
source = test_files.source


def test_there_is_something_to_check() -> None:
    assert {"test_success", "test_cancel", "test_a_folder_is_seeded"} <= globals().keys()
