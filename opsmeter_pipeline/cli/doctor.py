"""`opsmeter doctor`: each part of a home, green, amber or red, and the next step."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.markup import escape

from opsmeter_pipeline.cli.app import out, print_json
from opsmeter_pipeline.doctor import Colour, Sign, find_worst
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.orchestration.doctor import Visit, examine
from opsmeter_pipeline.settings import load_settings, read_claim

_STYLES = {Colour.GREEN: "green", Colour.AMBER: "yellow", Colour.RED: "red"}


def doctor_command(*, home: Path | None, landing: str | None, as_json: bool) -> None:
    """Print what each part looks like; exit 1 if one is red.

    Raises:
        SettingsError: a setting cannot be used.
    """
    settings = read_claim(load_settings(home=home, landing=landing))
    now = utc_now()
    signs = examine(Visit(settings, now))
    worst = find_worst(signs)
    if as_json:
        told = [asdict(one) | {"colour": one.colour.value} for one in signs]
        print_json({"colour": worst.value, "judged_at": now, "signs": told})
    else:
        _print(signs, worst)
    if worst is Colour.RED:
        sys.exit(1)


def _print(signs: Sequence[Sign], worst: Colour) -> None:
    width, told = max(len(one.name) for one in signs), set[str]()
    for one in signs:
        found = "(as above)" if one.next_step and one.found in told else escape(one.found)
        colour = f"[{_STYLES[one.colour]}]{one.colour.value:5}[/]"
        out.print(f"{colour} {one.name:{width}}  {found}", soft_wrap=True)
        if one.next_step and one.found not in told:
            out.print(escape(f"{'':6}{'':{width}}  next: {one.next_step}"), soft_wrap=True)
        told.add(one.found)
    out.print(f"The worst is [{_STYLES[worst]}]{worst.value}[/].")
