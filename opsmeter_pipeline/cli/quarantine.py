"""`opsmeter quarantine`: what broke which rule, where, and whether a replay could mend it."""

from pathlib import Path
from typing import Any

from rich.markup import escape

from opsmeter_pipeline.cli.app import out, print_json, print_table, spell_command
from opsmeter_pipeline.cli.choice import require_known
from opsmeter_pipeline.contract.prospect import tell_prospect
from opsmeter_pipeline.contract.rules import MEANINGS
from opsmeter_pipeline.settings import load_settings
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.quarantined import Choice, count_lines, read_rules, read_samples

_SHOWN = ("rule", "quarantined", "share_pct", "files", "estimated_cost_usd", "unestimated_lines",
          "first_at", "last_at")  # fmt: skip
_NO_RULE = "The contract no longer has this rule."
_NEXT = """\
Try next:
  {opsmeter} replay --rule {rule}   these lines again through today's contract, from their files
  {opsmeter} quarantine --rule {rule} --limit 20   more of them
"""


def quarantine_command(choice: Choice, *, limit: int, home: Path | None, as_json: bool) -> None:
    """Print the chosen lines of the quarantine by rule, with samples, and what to do next.

    Raises:
        UsageError: there is no such rule or file, or no warehouse.
    """
    lake = Lake(load_settings(home=home).warehouse)
    require_known(lake, choice)
    rules, lines = _describe_rules(lake, choice, limit=limit), count_lines(lake, choice)
    for rule in rules:
        rule["share"] = rule["quarantined"] / lines
    first = rules[0]["rule"] if rules else None
    command = f"{spell_command(home)} replay --rule {first}" if first else None
    if as_json:
        quarantined = sum(rule["quarantined"] for rule in rules)
        counts = {"lines": lines, "quarantined": quarantined, **_sum_held(rules)}
        print_json(counts | {"rules": rules, "next": command})
    elif first is None:
        out.print(f"Nothing in quarantine{escape(_spell(choice))}; {lines} lines were read.")
    else:
        _print_rules(rules, lines)
        out.print(escape(_spell_held(rules)), soft_wrap=True)
        out.print(escape(_NEXT.format(opsmeter=spell_command(home), rule=first)), soft_wrap=True)


def _describe_rules(lake: Lake, choice: Choice, *, limit: int) -> list[dict[str, Any]]:
    samples = read_samples(lake, choice, limit=limit)
    return [
        row
        | {
            "meaning": MEANINGS.get(row["rule"], _NO_RULE),
            "would_pass": tell_prospect(row["rule"]),
            "samples": samples.filter(rule=row["rule"]).drop("rule").to_dicts(),
        }
        for row in read_rules(lake, choice).to_dicts()
    ]


def _sum_held(rules: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the chosen lines may have cost: null if nobody can tell of any."""
    estimates = [r["estimated_cost_usd"] for r in rules if r["estimated_cost_usd"] is not None]
    return {
        "estimated_cost_usd": sum(estimates) if estimates else None,
        "estimated_lines": sum(rule["estimated_lines"] for rule in rules),
        "unestimated_lines": sum(rule["unestimated_lines"] for rule in rules),
    }


def _spell_held(rules: list[dict[str, Any]]) -> str:
    held = _sum_held(rules)
    if held["estimated_cost_usd"] is None:
        return (
            f"Held back: of none of the {held['unestimated_lines']} lines can the cost be told.\n"
        )
    return (
        f"Held back: about {held['estimated_cost_usd']:.6f} USD by the tokens of "
        f"{held['estimated_lines']} lines, in no total; of {held['unestimated_lines']} nobody can "
        "tell.\n"
    )


def _print_rules(rules: list[dict[str, Any]], lines: int) -> None:
    table = [row | {"share_pct": f"{100 * row['share']:.2f}"} for row in rules]
    for row in table:
        row |= {name: f"{row[name]:%Y-%m-%d %H:%M}" for name in ("first_at", "last_at")}
        if row["estimated_cost_usd"] is not None:
            row["estimated_cost_usd"] = f"{row['estimated_cost_usd']:.6f}"
    print_table([{name: row[name] for name in _SHOWN} for row in table],
                title=f"quarantined, of {lines} lines")  # fmt: skip
    for row in rules:
        text = f"{row['rule']}: {row['meaning']}\n  would it pass today? {row['would_pass']}"
        out.print(escape(text), soft_wrap=True)
        for sample in row["samples"]:
            place = f"{sample['file']}:{sample['line_number']}  {sample['detail']}"
            out.print(escape(f"  {place}\n      {sample['line_redacted']}"), soft_wrap=True)
        out.print()


def _spell(choice: Choice) -> str:
    rule = f" by rule {choice.rule}" if choice.rule else ""
    return rule + (f" of {choice.file}" if choice.file else "")
