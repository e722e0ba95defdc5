"""``python -m lightrunner``: the command line of `lightrunner.cli`."""

from .cli.app import main

main()
