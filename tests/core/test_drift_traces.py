"""A few endpoints of the drift bench on a real trace; the whole of it stands in docs/drift.md.

The Azure traces are by Microsoft, CC-BY 4.0 (Patel et al., Splitwise, ISCA 2024).
"""

import os
from pathlib import Path

import pytest

from benchmarks.drift.judge import DATA, judge_change
from benchmarks.drift.traffic import TRACES, Source, read_trace

FOLDER = Path(os.environ.get(DATA, Path(__file__).resolve().parents[3] / "shared" / "data"))
ENDPOINTS = 8


@pytest.fixture(scope="module")
def source() -> Source:
    if not (FOLDER / TRACES["azure-conv"][0]).exists():
        pytest.skip(f"the public trace azure-conv is not in {FOLDER}; {DATA} names another folder")
    return Source(read_trace(FOLDER, "azure-conv"))


@pytest.mark.parametrize(
    ("change", "told"),
    [("nothing", (0, 0)), ("output +15 %", (1, 0)), ("mix", (0, 1))],
)
def test_real_traffic_regresses_only_where_answers_grew(
    source: Source, change: str, told: tuple[int, int]
) -> None:
    found = judge_change(source, change, endpoints=ENDPOINTS, seed=7)
    assert (found.endpoints, found.regressed, found.mixed) == (ENDPOINTS, *told)
