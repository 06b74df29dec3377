"""The start of `opsmeter`, also as `python -m opsmeter_pipeline`: a process of its own."""

import atexit
import gc

_COLLECT_AFTER = 100_000
"""How many new objects start a search for garbage. With Python's 700 it goes through all that was
imported again and again, and at the exit once more: a fifth of the time of a small run."""


def main() -> None:
    """Run the command line."""
    gc.set_threshold(_COLLECT_AFTER)  # before anything large is imported
    atexit.register(gc.freeze)  # the process ends; nothing has to be found and freed
    from opsmeter_pipeline.cli import call

    call()


if __name__ == "__main__":
    main()
