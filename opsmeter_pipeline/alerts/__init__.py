"""The alerts stage: what is wrong now becomes incidents, their timelines and messages.

`judge_*` modules tell from plain values what is wrong; `decide` tells what that changes in the open
incidents and which messages follow; `messages` and `report` put it in words. Nothing here sends,
stores or asks the time. Comes after everything else: it reads, and nobody waits for it.
"""

from opsmeter_pipeline.alerts.decide import Decision, Rules, acknowledge, decide
from opsmeter_pipeline.alerts.incident import Entry, Incident, Look, Message
from opsmeter_pipeline.alerts.maintenance import MaintenanceWindow, find_window

__all__ = [
    "Decision",
    "Entry",
    "Incident",
    "Look",
    "MaintenanceWindow",
    "Message",
    "Rules",
    "acknowledge",
    "decide",
    "find_window",
]
