"""What several queries ask of rows of `events` and the cubes, as SQL, each said once.

Add a condition or an expression here when a second query needs it. Whole queries stand where
they are used.
"""

import re
import shlex
from types import MappingProxyType

PRODUCTION = "data_mode = 'real' AND environment = 'prod'"
"""What views show; holds of rows of events and cubes."""
NO_FAILURE = ("success", "unknown")
"""Outcomes of attempts that did not fail, as far as is told."""
FAILED = f"outcome NOT IN {NO_FAILURE}"
"""Holds of events only."""
OF_EVENT = MappingProxyType(
    {
        "requests": "is_first_attempt::BIGINT",
        "attempts": "1",
        "failures": f"({FAILED})::BIGINT",
        "unpriced_attempts": "(cost_usd IS NULL)::BIGINT",
        "unbounded_attempts": "(cost_usd IS NULL AND unpriced_high_usd IS NULL)::BIGINT",
    }
)
"""How one event counts in the cubes' measures; any other is the event's own column."""
_OF_SHELLS = re.compile(r"""["$`\\!]""")


def spell_query(sql: str, *, command: str = "opsmeter") -> str:
    """Return the command that runs a query, for a person to paste into a shell.

    A query may hold a name from telemetry; nothing in it is run by the shell.

    >>> spell_query("FROM events")
    'opsmeter query "FROM events"'
    >>> spell_query("SELECT '$(id)'").startswith("opsmeter query 'SELECT ")
    True
    """
    quoted = shlex.quote(sql) if _OF_SHELLS.search(sql) else f'"{sql}"'
    return f"{command} query {quoted}"
