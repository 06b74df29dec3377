"""Contracts of another day: what made lines quarantined that today's contract accepts.

The job runs in the test's process, so a rule that is put in front of the contract there was never
in the code that `opsmeter` runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import polars as pl
import pytest

from opsmeter_pipeline.contract import rules
from opsmeter_pipeline.contract.rules import Contract, Rule
from opsmeter_pipeline.orchestration.jobs import take_batches
from tests.pipeline.support import DAY, PipelineHome, failure_of

STRICT = "held_back"
"""A rule that today's contract no longer has: it refused every line of the tenant `held`."""


def held(**fields: object) -> dict[str, object]:
    """Return the fields of a line that only the older contract refuses."""
    return {"tenantId": "held", **fields}


@contextmanager
def stricter_contract(*, tenant: str = "held", name: str = STRICT) -> Iterator[None]:
    """Judge by a contract with one rule more while this lasts."""
    refuses = pl.col("tenant_id").cast(pl.String).eq_missing(pl.lit(tenant))
    strict = (Rule(name, ~refuses, pl.lit("the tenant was held back")), *rules.RULES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "CONTRACT", Contract(strict))
        yield


def replay(home: PipelineHome, *numbers: int) -> dg.ExecuteInProcessResult:
    """Replay batches of the day by their number, in the order they were taken; all by default."""
    ids = [one for (one,) in home.rows("SELECT batch_id FROM ingest_batches ORDER BY taken_at")]
    chosen = [ids[number] for number in numbers] or ids
    result = home.run(DAY, config=take_batches(chosen, log_level="CRITICAL"))
    assert result.success, failure_of(result)
    return result
