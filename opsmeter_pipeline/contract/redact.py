"""What of a refused line may be kept for a person to read.

The line's shape, its known field names, the numbers of known count fields and the plain values
of fields that never name a person stay; every other letter becomes `x` and every other digit
`0`. It works on the text, so malformed lines are covered by the same rule.
"""

import re

from opsmeter_pipeline.model.wire import WIRE

MAX_CHARACTERS = 600
_PUBLIC = ("provider", "model", "endpointTag", "promptVersion", "status", "dataMode",
           "environment", "serviceTier", "timestamp", "ingestedAt")  # fmt: skip
_NUMBERS = "|".join(field.name for field in WIRE if field.kind == "count")
_NAMES = "|".join(field.name for field in WIRE)
_KEPT = re.compile(
    rf'"(?:{_NUMBERS})"\s*:\s*-?[0-9]{{1,16}}(?:\.[0-9]{{1,4}})?(?=\s*[,}}])'
    rf'|"(?:{"|".join(_PUBLIC)})"\s*:\s*"[A-Za-z0-9_.:/+-]{{0,80}}"'
    rf'|"(?:{_NAMES})"(?=\s*:)'
    r"|\b(?:true|false|null|NaN|Infinity)\b"
)
_LETTER = re.compile(r"[^\W\d_]")
_DIGIT = re.compile(r"\d")


def redact_line(line: str) -> str:
    """Return the line masked and cut to `MAX_CHARACTERS`.

    >>> redact_line('{"userId":"ann@example.com","inputTokens":-5,"status":"ok"}')
    '{"userId":"xxx@xxxxxxx.xxx","inputTokens":-5,"status":"ok"}'
    >>> redact_line('{"userId":"Ann Lee", "inputTok')
    '{"userId":"xxx xxx", "xxxxxxxx'
    """
    cut = line[:MAX_CHARACTERS]
    masked, start = [], 0
    for kept in _KEPT.finditer(cut):
        masked += [_mask(cut[start : kept.start()]), kept[0]]
        start = kept.end()
    return "".join([*masked, _mask(cut[start:])])


def _mask(text: str) -> str:
    return _DIGIT.sub("0", _LETTER.sub("x", text))
