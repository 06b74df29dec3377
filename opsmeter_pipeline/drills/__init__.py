"""Drills: each failure mode of the playbook, injected into a scratch home with real processes.

A drill proves that what should notice does, that people are told once when it begins and once when
it is over, and that no line is lost. Add one as a `Drill` here. Nothing here is needed to run the
pipeline, and nothing but `cli` may import it.
"""

from collections.abc import Mapping
from types import MappingProxyType

from opsmeter_pipeline.drills.burst import BURST
from opsmeter_pipeline.drills.drill import Drill
from opsmeter_pipeline.drills.producers import CLOCK, SCHEMA
from opsmeter_pipeline.drills.worker import DAEMON, WORKER

DRILLS: Mapping[str, Drill] = MappingProxyType(
    {one.name: one for one in (WORKER, DAEMON, BURST, SCHEMA, CLOCK)}
)
"""All drills by name, in the order in which `all` runs them."""
