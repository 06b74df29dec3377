"""What a person reads: SQL views over the cubes and the ledger, named and described.

Views of cost show production reality: `data_mode = real` and `environment = prod`; each says how
much it leaves out. They read cubes, never events, so they stay quick as history grows. Comes
after `publish`; the page and `opsmeter query` read them.
"""

from opsmeter_pipeline.views.costs import COST_VIEWS
from opsmeter_pipeline.views.freshness import FRESHNESS_VIEWS
from opsmeter_pipeline.views.probes import PROBES_DAILY
from opsmeter_pipeline.views.producers import PRODUCER_VIEWS
from opsmeter_pipeline.views.view import View

__all__ = ["PROBES_DAILY", "VIEWS", "View"]

VIEWS: tuple[View, ...] = (
    *COST_VIEWS,
    *PRODUCER_VIEWS,
    *FRESHNESS_VIEWS,
    PROBES_DAILY,
)
