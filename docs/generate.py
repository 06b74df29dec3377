"""Writes the pages of `docs/` that the code already knows: tables.md and contract.md.

Run `python docs/generate.py` after a change of columns, fields or rules; a test compares.
"""

from pathlib import Path

from opsmeter_pipeline.contract.identifiers import SHAPES
from opsmeter_pipeline.contract.rules import MEANINGS
from opsmeter_pipeline.model.columns import Table
from opsmeter_pipeline.model.identifiers import MIN_KEY_BYTES
from opsmeter_pipeline.model.tables import TABLES
from opsmeter_pipeline.model.wire import WIRE
from opsmeter_pipeline.storage.lake import sql_type
from opsmeter_pipeline.views import VIEWS

FOLDER = Path(__file__).parent
_KINDS = {
    "text": "text",
    "count": "whole number, 0 to 2^40",
    "status": "text or HTTP code",
    "instant": "RFC 3339 with offset, or epoch milliseconds",
}
_NARROWER = {
    "attempt": "whole number, 1 to 2^40",
    "totalTokens": "whole number, `inputTokens` + `outputTokens`",
}
_TABLES = """# Tables and views

Schema `main` of the DuckLake. All times are UTC. A column's unit is in its name; one that can be
null is marked.
"""
_VIEWS = """## Views

Views read the cubes, never events, so they stay quick as history grows. All but `unpriced_models`,
`probes_daily`, `tracking_quality`, `clock_lags`, `late_events`, `held_back`, `missing_usage`,
`freshness_hourly`, `freshness_daily` and `batch_stages` show production: `data_mode` real and
`environment` prod.
"""
_CONTRACT = """# The contract

Every line of a landed file ends as event, duplicate, quarantined line or blank. A line that breaks
several rules is filed under the first.

## Fields

{fields}

Parts (`cacheReadTokens` and so on) are contained in `inputTokens` or `outputTokens`.
Absent is null, not 0. A missing or empty `endpointTag` or `promptVersion` is shown as `(missing)`,
a missing `userId` or `tenantId` as `unknown`. A missing `dataMode` counts as real and a missing
`environment` as prod; both are counted in the ledger. Any other field is kept in `extra` as it was
sent, but for what looks like a person's: that is `"(redacted)"` there.

## Rules

{rules}

## Raw identifiers

`tenantId` and `userId` are opaque: hashed by the sender, or ids that mean nothing outside.
One is raw if it has any of these shapes, in whatever spelling: percent-encoded, full-width, with
invisible characters or spaces around it.

{shapes}

UUIDs, hex, base32, base64 and ids such as `u_71ab`, `tenant_14` or `auth0|5f7c8e` are opaque. So
is anything that looks like one: `ann`, `ann_lee`, `AnnLee`, `u_4915112345678` and a name in base64
pass. In `externalRequestId`, `provider`, `model`, `endpointTag` and `promptVersion` an e-mail
address or an international phone number is raw.

`OPSMETER_IDENTIFIERS` says what is done: `refuse` (the default) quarantines the line as
`raw_identifier`, redacted; `hash` puts `h_` and the first 32 hex digits of
HMAC-SHA-256(`OPSMETER_HASH_KEY`, `opsmeter:<field>:<value>`) in its place before anything is
written. The same value under the same key gets the same hash in each run, in `tenantId` another
one than in `userId`. Without a key of at least {key_bytes} bytes nothing is taken.

## Formats

`.jsonl` (plain, `.gz`, `.zst`): one JSON object a line. `.csv`: a header with the field names, one
record a line, an empty cell is an absent
field. `.parquet`: columns with the field names; an instant
column without a time zone is a naive timestamp. The last line of a plain `.jsonl` counts once a
line feed ends it, once it is a complete object, or once the file has been quiet for
`OPSMETER_SETTLE_SECONDS` (300).
"""


def build_pages() -> dict[str, str]:
    """Return the text of each generated page by file name."""
    return {"tables.md": _tables_page(), "contract.md": _contract_page()}


def _tables_page() -> str:
    pages = [
        _TABLES,
        *(_described(table) for table in TABLES),
        _VIEWS,
        *(f"{_described(view, heading='###')}\nReads {_named(view.reads)}.\n" for view in VIEWS),
    ]
    return "\n".join(pages)


def _described(table: Table, *, heading: str = "##") -> str:
    rows = [
        (f"`{c.name}`", sql_type(c.dtype), "null" if c.nullable else "", c.meaning)
        for c in table.columns
    ]
    columns = _table(("column", "type", "", "meaning"), rows)
    return f"{heading} {table.name}\n\n{table.grain}\n\n{columns}"


def _named(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _contract_page() -> str:
    fields = [
        (f"`{f.name}`", _NARROWER.get(f.name, _KINDS[f.kind]), "required" if f.required else "")
        for f in WIRE
    ]
    rules = [(f"`{name}`", meaning) for name, meaning in MEANINGS.items()]
    return _CONTRACT.format(
        fields=_table(("field", "type", ""), fields).strip(),
        rules=_table(("rule", "broken when"), rules).strip(),
        shapes=_table(("raw is", "such as"), [*SHAPES.items()]).strip(),
        key_bytes=MIN_KEY_BYTES,
    )


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    for name, text in build_pages().items():
        (FOLDER / name).write_text(text)
