"""Who a producer is: the source of a file, read from its path.

Landing shares a batch out by it, tracking judges by it. Add here what a path alone tells about its
producer. Which endpoint a line is of, the line itself says.
"""

import re

from opsmeter_pipeline.model.landed import format_of

_BORDER = r"[^/\\_.=:+~@ -]"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_HEX = r"(?=[a-f]*[0-9])[0-9a-f]{8,}"
_NUMBER = r"[0-9]+(?:t[0-9]*)?z?|t[0-9]+z?"
_VARIABLE = re.compile(rf"(?<!{_BORDER})(?:{_UUID}|{_HEX}|{_NUMBER})(?!{_BORDER})", re.IGNORECASE)
_TRAILING = re.compile(r"[0-9]{3,}(?=$|[/.])")
_RUN = re.compile(r"\*(?:[/\\_.=:+~@ -]*\*)+")


def name_source(file: str) -> str:
    """Return a file's source: a pattern that all files of its producer match.

    Every part of the path that is a date, a time, a number or a hexadecimal id becomes `*`, and so
    does the ending, so that a producer stays the same from day to day and from format to format.
    In SQL, `file GLOB source` finds the files again.

    >>> name_source("2026-11-23/llm-usage-2026-11-23T05.jsonl.gz")
    '*/llm-usage-*'
    >>> name_source("checkout/2026/11/23/part-00017.parquet")
    'checkout/*/part-*'
    >>> name_source("chat-v2.jsonl")
    'chat-v2.*'
    """
    form = format_of(file)
    stem = file.removesuffix(f".{form}") if form else file
    masked = _TRAILING.sub("*", _VARIABLE.sub("*", stem))
    # A run stays one `*`, but the folder after it is still a folder.
    merged = _RUN.sub("*", masked)
    return merged if merged.endswith("*") else f"{merged}.*"
