"""What all tests share: which are run first, and how often a worker searches for garbage."""

import gc

import pytest

# With Python's 700 each worker goes through all that it has imported again and again: a fifth of
# the time of a small run, as of the command itself (`opsmeter_pipeline.__main__`).
gc.set_threshold(100_000)

_FIRST = ("faults", "pipeline")
"""Folders whose files take minutes. What is quick comes last and fills up whichever worker is free:
a worker takes whole files, in this order."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first; within a folder the order stays."""
    items.sort(key=lambda item: item.path.parent.name not in _FIRST)
