"""What marks a probe, for whoever sends it, leaves it out or asks for it.

A probe is a made-up event that goes the whole way of the data. It is test traffic, so production
views and costs never hold it. Add here only what several houses must agree on.
"""

PROBE_ENDPOINT = "opsmeter.synthetic_probe"
PROBE_DATA_MODE = "test"
PROBE_ENVIRONMENT = "prod"
PROBE_FOLDER = "opsmeter-probe"
"""Folder of the landing with the files of probes; nobody else's belong there."""
PROBE_FILES = f"{PROBE_FOLDER}/*"
"""The same as a pattern for `GLOB`."""


def is_probe_file(file: str) -> bool:
    """Return whether a landed file is that of a probe.

    >>> is_probe_file("opsmeter-probe/2026-11-28/a.jsonl"), is_probe_file("opsmeter-probes.jsonl")
    (True, False)
    """
    return file.startswith(f"{PROBE_FOLDER}/")
