"""The names of a rule or a file that a person gave: known, or near to which known ones."""

from collections.abc import Sequence
from difflib import get_close_matches

from opsmeter_pipeline.contract.rules import MEANINGS
from opsmeter_pipeline.model.errors import UnknownFileError, UnknownRuleError
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.quarantined import Choice, read_files, read_rule_names

_NEAR = 3
_CUTOFF = 0.6


def require_known(lake: Lake, choice: Choice) -> None:
    """Return if there are such a rule and such a file.

    Raises:
        UnknownRuleError: neither the contract nor the quarantine has the rule.
        UnknownFileError: nothing was taken of the file.
        WarehouseMissingError: there is no warehouse yet.
    """
    rules = dict.fromkeys((*MEANINGS, *read_rule_names(lake)))
    if choice.rule is not None and choice.rule not in rules:
        raise UnknownRuleError(choice.rule, _find_near(choice.rule, [*rules]) or [*rules])
    files = read_files(lake) if choice.file is not None else []
    if choice.file is not None and choice.file not in files:
        raise UnknownFileError(choice.file, _find_near(choice.file, files))


def _find_near(asked: str, names: Sequence[str]) -> list[str]:
    """Return up to three names: those that end alike as paths do, then those spelled alike."""
    last = asked.rsplit("/", maxsplit=1)[-1]
    same_end = [name for name in names if name.rsplit("/", maxsplit=1)[-1] == last]
    alike = get_close_matches(asked, names, n=_NEAR, cutoff=_CUTOFF)
    return [*dict.fromkeys(same_end + alike)][:_NEAR]
