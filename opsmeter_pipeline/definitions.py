"""The roof: everything Dagster loads, assembled. The only importer of `assets/` and `checks/`."""

from typing import cast

import dagster as dg

import assets
import checks
from opsmeter_pipeline.orchestration.engines import keep_engines
from opsmeter_pipeline.orchestration.jobs import (
    budget_job,
    digest_job,
    doubles_job,
    drift_job,
    drivers_job,
    ingest_job,
    probe_job,
    quality_job,
    reprice_job,
    silence_job,
    spikes_job,
)
from opsmeter_pipeline.orchestration.maintain import maintain_job
from opsmeter_pipeline.orchestration.metadata import OWNER
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.orchestration.schedules import (
    budget_schedule,
    digest_schedule,
    doubles_schedule,
    drift_schedule,
    drivers_schedule,
    maintain_schedule,
    probe_schedule,
    probes_daily_schedule,
    quality_schedule,
    silence_schedule,
    spikes_schedule,
)
from opsmeter_pipeline.orchestration.sensors import (
    alerting_sensor,
    landing_sensor,
    probing_sensor,
)
from opsmeter_pipeline.orchestration.staleness import choose_policy

keep_engines()  # here, because every process that runs something loads this module

_ASSETS = dg.map_asset_specs(
    lambda spec: spec.replace_attributes(owners=[OWNER], freshness_policy=choose_policy(spec)),
    # Functions, and specs of what no run makes; the loader knows kinds Dagster is giving up, too.
    cast(
        "list[dg.AssetsDefinition | dg.AssetSpec]",
        dg.load_assets_from_package_module(assets, include_specs=True),
    ),
)

defs = dg.Definitions(
    assets=_ASSETS,
    asset_checks=dg.load_asset_checks_from_package_module(checks),
    jobs=[
        budget_job,
        digest_job,
        doubles_job,
        drift_job,
        drivers_job,
        ingest_job,
        maintain_job,
        probe_job,
        quality_job,
        reprice_job,
        silence_job,
        spikes_job,
    ],
    schedules=[
        budget_schedule,
        digest_schedule,
        doubles_schedule,
        drift_schedule,
        drivers_schedule,
        maintain_schedule,
        probe_schedule,
        probes_daily_schedule,
        quality_schedule,
        silence_schedule,
        spikes_schedule,
    ],
    sensors=[landing_sensor, alerting_sensor, probing_sensor],
    resources={"home": HomeResource()},
)
