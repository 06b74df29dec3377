"""The four views that the page shows, cut to a range of time.

The queries are those of the views themselves, of the rows of a cube that lie in the range, so a
range that holds everything gives the view. A range is `$1` to before `$2`: UTC hours, or UTC days
for users, of whom there is no hour.
"""

from collections.abc import Mapping
from types import MappingProxyType

from opsmeter_pipeline.views.costs import (
    ENDPOINT,
    PROMPT_VERSION,
    rank_groups,
    rank_users,
    sum_up_days,
)

_HOURS = "(SELECT * FROM {} WHERE hour_at >= $1 AND hour_at < $2)"
_DAYS = "(SELECT * FROM {} WHERE day >= $1 AND day < $2)"
_CUBE, _LATENCIES = _HOURS.format("attribution_hourly"), _HOURS.format("latency_hourly")

BY_DAY = frozenset({"top_users"})
"""Views of which only whole UTC days can be asked for."""
RANGES: Mapping[str, str] = MappingProxyType(
    {
        "overview": sum_up_days(_CUBE, _LATENCIES),
        "top_endpoints": rank_groups(ENDPOINT, cube=_CUBE, histogram=_LATENCIES),
        "top_users": rank_users(_DAYS.format("users_daily"), _DAYS.format("users_latency_daily")),
        "prompt_versions": rank_groups(PROMPT_VERSION, cube=_CUBE, histogram=_LATENCIES),
    }
)
"""The query of a view's rows in a range, by the view's name, in the order of the page."""
