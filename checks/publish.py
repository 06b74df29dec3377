"""The publish stage's checks: the ledger balances, and what people should know of a batch."""

from opsmeter_pipeline.model.verdict import Verdict
from opsmeter_pipeline.orchestration.checks import build_check, build_checks
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.publish import SHARE_LIMITS, judge_balance, judge_share

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


def _judge_shares(home: HomeResource, run_id: str) -> dict[str, Verdict]:
    ledger = home.lake.read(_OF_RUN, [run_id])
    return {limit.name: judge_share(limit, ledger) for limit in SHARE_LIMITS}


share_checks = build_checks(
    asset="ingest_files",
    descriptions={
        limit.name: f"At most {limit.limit:%} of a run's {limit.whole} are {limit.part}"
        + (f"; an error above {limit.severe:%}." if limit.severe else ".")
        for limit in SHARE_LIMITS
    },
    judge=_judge_shares,
)
