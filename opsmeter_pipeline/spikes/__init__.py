"""The spikes stage: hours and days far above their own past, and who concentrates a day.

`search` says what is looked at, `score` how surprising it is, `find` and `share` what is told,
`fold` what is the same event, `rows` puts it in words and rows. Frames and plain values only;
reading and writing is `storage.spikes`'. Comes after `publish`, in a job of its own. Formulas and
what they were measured to do stand in docs/spikes.md.
"""

from opsmeter_pipeline.spikes.find import Traffic, find_spikes
from opsmeter_pipeline.spikes.fold import fold_spikes
from opsmeter_pipeline.spikes.limits import SPIKE_RULES, SpikeRules
from opsmeter_pipeline.spikes.search import Search, plan_search
from opsmeter_pipeline.spikes.share import Shares, find_concentrations
from opsmeter_pipeline.spikes.spike import Spike

__all__ = [
    "SPIKE_RULES",
    "Search",
    "Shares",
    "Spike",
    "SpikeRules",
    "Traffic",
    "find_concentrations",
    "find_spikes",
    "fold_spikes",
    "plan_search",
]
