"""Whether a quarantined line has a chance under today's contract, in a sentence for a person.

Only a replay knows. This says what would have to be different for a rule's lines to pass, so that
nobody replays for nothing; it reads no line. Add here a rule whose answer is not the usual one.
"""

from collections.abc import Mapping
from types import MappingProxyType

from opsmeter_pipeline.contract.rules import MEANINGS

_OF_FORM = "only if the reader of lines has changed; else the producer must send it right"
_OF_RULE = "if the rule has changed since; else the producer must send it right"
_GONE = "yes: the rule is no longer in the contract"
_PROSPECTS: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("malformed_json", "not_an_object", "duplicate_field"), _OF_FORM)
    | {
        "future_timestamp": "no: a replay judges by the clock of the first taking (ADR 0006)",
        "conflicting_duplicate": "only if the event it contradicts has been refused since",
    }
)


def tell_prospect(rule: str) -> str:
    """Return when a line that was quarantined by this rule could pass today.

    >>> tell_prospect("a_rule_of_last_year")
    'yes: the rule is no longer in the contract'
    """
    return _PROSPECTS.get(rule, _OF_RULE) if rule in MEANINGS else _GONE
