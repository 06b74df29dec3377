"""The reconcile stage: what the warehouse has against what a provider says, part by part.

`sums` are the nouns, `cases` puts both sides beside each other at the grain of the export, `parts`
splits each difference. Importers make the statement, `storage.reconcile` reads the warehouse.
Nothing is written: a reconciliation is asked for, not kept.
"""

from opsmeter_pipeline.reconcile.cases import reconcile_statement
from opsmeter_pipeline.reconcile.parts import PARTS
from opsmeter_pipeline.reconcile.sums import (
    Compared,
    Key,
    Known,
    Period,
    Reconciliation,
    Refused,
    Uncovered,
    Warehouse,
)

__all__ = [
    "PARTS",
    "Compared",
    "Key",
    "Known",
    "Period",
    "Reconciliation",
    "Refused",
    "Uncovered",
    "Warehouse",
    "reconcile_statement",
]
