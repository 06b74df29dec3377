"""The alerts stage's tables, as assets that no run makes: each tick of `alerting` may write them.

An incident must be written down while no run can start, so these are described here and written by
the sensor and by `opsmeter alerts check`.
"""

from opsmeter_pipeline.model.tables import ALERTS, INCIDENT_EVENTS, INCIDENTS
from opsmeter_pipeline.orchestration.metadata import table_spec

incidents = table_spec(INCIDENTS, group="alerts")
incident_events = table_spec(INCIDENT_EVENTS, group="alerts", deps=[INCIDENTS.name])
alerts = table_spec(ALERTS, group="alerts", deps=[INCIDENTS.name])
