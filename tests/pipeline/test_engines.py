"""Dagster's SQLite files: their engines are kept, so that statements are compiled once."""

import dagster as dg

from opsmeter_pipeline.orchestration import engines
from tests.pipeline.support import PipelineHome, jsonl, payload


def test_run_makes_few_engines_and_uses_them_often(tmp_path) -> None:
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        home = PipelineHome(tmp_path / "home", instance)
        home.land("a.jsonl", jsonl(payload()))
        before = engines._create_engine.cache_info()  # noqa: SLF001 - what the module promises
        home.take_all()
        after = engines._create_engine.cache_info()  # noqa: SLF001
    assert after.misses - before.misses <= 5
    assert after.hits - before.hits > 200
