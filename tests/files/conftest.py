"""Files in and out are tested with the runners of cold runs."""

from tests.runs.conftest import committed_image, image_variant, make_runner, plain_network, run, runner

__all__ = ["committed_image", "image_variant", "make_runner", "plain_network", "run", "runner"]
