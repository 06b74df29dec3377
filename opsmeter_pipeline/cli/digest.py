"""`opsmeter digest`: a week on one page, printed; nothing is written or sent."""

import sys
from dataclasses import asdict
from pathlib import Path

from opsmeter_pipeline.cli.app import print_json
from opsmeter_pipeline.digest import compose, plan_week, to_html, to_markdown
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.settings import load_settings
from opsmeter_pipeline.storage.digest import read_facts
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.price_book import PriceBook


def digest_command(*, week: str | None, form: str, home: Path | None, as_json: bool) -> None:
    """Print the digest of a week that begins on a day, else of the last 7 full days.

    Raises:
        UsageError: there is no such week, or no warehouse.
    """
    now = utc_now()
    asked = plan_week(now=now, first_day=week)
    facts = read_facts(Lake(load_settings(home=home).warehouse), PriceBook(), asked, now=now)
    page = compose(facts)
    if as_json:
        span = {"from": asked.start_at, "to": asked.end_at}
        print_json({"window": span, "lead": page.lead, **asdict(facts), "page": asdict(page)})
        return
    sys.stdout.write(to_html(page) if form == "html" else to_markdown(page))
