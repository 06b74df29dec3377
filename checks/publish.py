"""The publish stage's checks: the ledger balances, and what people should know of a batch."""

import dagster as dg

from opsmeter_pipeline.model.verdict import Verdict
from opsmeter_pipeline.orchestration.checks import build_check
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.publish import SHARE_LIMITS, ShareLimit, judge_balance, judge_share

_OF_RUN = "SELECT f.* FROM ingest_files f JOIN ingest_batches b USING (batch_id) WHERE b.run_id = ?"


def _judge_ledger(home: HomeResource, run_id: str) -> Verdict:
    staging = home.staging(run_id)
    return judge_balance(staging.read("ledger/ingest_files"))


ledger_balances = build_check(
    asset="batch_ledger",
    name="ledger_balances",
    description="Every line of every slice is accounted for: lines = accepted + duplicates + "
    "quarantined + blank. Nothing is published otherwise.",
    judge=_judge_ledger,
    blocking=True,
)


def _build_share_check(limit: ShareLimit) -> dg.AssetChecksDefinition:
    def judge(home: HomeResource, run_id: str) -> Verdict:
        return judge_share(limit, home.lake.read(_OF_RUN, [run_id]))

    return build_check(
        asset="ingest_files",
        name=limit.name,
        description=f"At most {limit.limit:%} of a batch's {limit.whole} are {limit.part}.",
        judge=judge,
        blocking=False,
    )


share_checks = [_build_share_check(limit) for limit in SHARE_LIMITS]
