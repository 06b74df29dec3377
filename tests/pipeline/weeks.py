"""Two weeks of production for the digest: growth, a deploy, odd names, and what can be missing."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from tests.pipeline.support import payload

NAUGHTY = "<script>alert(1)</script>|`x`*"
"""An endpoint that would be markup, if it could."""
_DAYS = 14


def lines_of_weeks(end_at: datetime, *, per_day: int = 40) -> Iterator[dict[str, object]]:
    """Yield lines of the 14 days before an instant; the second week has three times the first.

    Version v2 of chat.reply begins on the 3rd day of the second week and writes twice as much.
    """
    for day in range(_DAYS):
        start = end_at - timedelta(days=_DAYS - day)
        is_second = day >= _DAYS // 2
        for number in range(per_day * (3 if is_second else 1)):
            when = start + timedelta(minutes=7 * number % 1440)
            yield _line(f"w{day}-{number}", when, is_new=day >= _DAYS // 2 + 2, number=number)


def _line(name: str, when: datetime, *, is_new: bool, number: int) -> dict[str, object]:
    told: dict[str, object] = {"timestamp": when.isoformat(), "tenantId": f"t{number % 3}"}
    if number % 4 == 0:
        told |= {"endpointTag": "mail.sort", "promptVersion": "m1", "model": "gpt-4o-mini"}
    elif is_new:
        told |= {"promptVersion": "v2", "outputTokens": 200}
    if number % 20 == 1:
        told |= {"endpointTag": NAUGHTY}
    if number % 25 == 2:
        told |= {"tenantId": None, "userId": None}
    if number % 30 == 3:
        told |= {"model": "nobody-knows-7", "provider": "acme"}
    if number % 33 == 5:
        told |= {"inputTokens": "many"}
    if number % 17 == 6:
        told |= {"status": "error"}
    return payload(name, **told)
