"""What of a refused line may be kept for a person to read.

The line's shape, its known field names, the numbers of known count fields and the plain values
of fields that never name a person stay; every other letter becomes `x` and every other digit
`0`. It works on the text, so malformed lines are covered by the same rule.
"""

import re
import string

from opsmeter_pipeline.contract.identifiers import GROUPED, IBAN, IPV4
from opsmeter_pipeline.model.wire import WIRE

MAX_CHARACTERS = 600
_NAMES = "|".join(field.name for field in WIRE)
_NUMBERS = "|".join(field.name for field in WIRE if field.kind == "count")
_PUBLIC = {
    "provider|model|endpointTag|promptVersion": r"[A-Za-z0-9_.:/-]{0,80}",
    "status|dataMode|environment|serviceTier": r"[A-Za-z_]{0,24}|[0-9]{3}",
    "timestamp|ingestedAt": r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ][0-9]{2}:[0-9]{2}"
    r"(?::[0-9]{2}(?:\.[0-9]{0,9})?)?[Zz]?(?:[+-][0-9]{2}:?[0-9]{2})?)?)?",
}
"""Fields that never name a person, with the shape their values must have to be shown. What shows
a person all the same, such as an IP address as a version, is masked as well."""
_SHOWN = {name: re.compile(value) for names, value in _PUBLIC.items() for name in names.split("|")}
_DATED = re.compile(r"@(?:[0-9]{8}|latest|default)$")
"""How some platforms end a model's name; no address ends so."""
_LITERAL = r"(?<=[:,\[\s])(?:true|false|null|NaN|-?Infinity)(?=\s*[,}\]])"
_NAME = rf'"(?:{_NAMES})"(?=\s*:)'
_VALUES = "|".join(
    [
        rf'"(?:{_NUMBERS})"\s*:\s*-?[0-9]{{1,16}}(?:\.[0-9]{{1,4}})?(?=\s*[,}}])',
        *(rf'"(?:{names})"\s*:\s*"(?:{value})"' for names, value in _PUBLIC.items()),
    ]
)
_KEPT_OUTSIDE = re.compile(f"{_VALUES}|{_NAME}|{_LITERAL}")
_KEPT_INSIDE = re.compile(f"{_NAME}|{_LITERAL}")
_NESTED = re.compile(r"[{\[]")
_FOUR_DIGITS = re.compile(r"[0-9][0-9./:-]{2,8}[0-9]")
_GROUP = "[0-9A-Fa-f]{1,4}"
_IPV6 = re.compile(rf"(?<![0-9A-Za-z:])(?:(?:{_GROUP}:){{7}}|(?:{_GROUP}:){{1,6}}:|::){_GROUP}")
_LONG = re.compile(r"[0-9]{9}|[0-9](?:[./-]?[0-9]){11}")
_HIDDEN = (re.compile(r'^\s*"[0-9./:-]{7,}"$'), IPV4, _IPV6, GROUPED, IBAN, _LONG)
"""What no public value shows; one without a letter is a phone number sooner than a version, and one
of many digits an account. None but IPv6 is without a run of four digits and marks."""
_TIMES = ('"timestamp"', '"ingestedAt"')
_COLONS = 3
"""The fewest that an IPv6 address has, with the one after its field's name."""
_OTHER = re.compile(r"[^\x00-\x7f]")
_MASK = str.maketrans(dict.fromkeys(string.ascii_letters, "x") | dict.fromkeys(string.digits, "0"))


def redact_line(line: str) -> str:
    """Return the line masked and cut to `MAX_CHARACTERS`.

    Values are shown up to the first value that is an object or array; what stands in there has
    another meaning, whatever it is called.

    >>> redact_line('{"userId":"ann@example.com","inputTokens":-5,"status":"ok"}')
    '{"userId":"xxx@xxxxxxx.xxx","inputTokens":-5,"status":"ok"}'
    >>> redact_line('{"userId":"Ann Lee", "inputTok')
    '{"userId":"xxx xxx", "xxxxxxxx'
    >>> redact_line('{"userId":{"model":"annlee4711"}}')
    '{"userId":{"model":"xxxxxx0000"}}'
    """
    cut = line[:MAX_CHARACTERS]
    nested = _NESTED.search(cut, cut.find("{") + 1)
    border = nested.start() if nested else len(cut)
    return _redact(cut[:border], _KEPT_OUTSIDE) + _redact(cut[border:], _KEPT_INSIDE)


def show_value(name: str, value: str) -> str | None:
    """Return a value of a public field if it is none that could name a person, else None.

    >>> show_value("model", "gpt-4o"), show_value("model", "claude-sonnet-4@20250514")
    ('gpt-4o', 'claude-sonnet-4@20250514')
    >>> show_value("model", "ann@example.com"), show_value("endpointTag", "10.0.0.1")
    (None, None)
    """
    plain = _DATED.sub("", value) if name == "model" else value
    is_public = bool(plain) and _SHOWN[name].fullmatch(plain) is not None
    return value if is_public and not _shows_person(f'"{plain}"') else None


def _redact(text: str, kept: re.Pattern[str]) -> str:
    masked: list[str] = []
    start = 0
    for found in kept.finditer(text):
        masked += [_mask(text[start : found.start()]), _show(found[0])]
        start = found.end()
    return "".join([*masked, _mask(text[start:])])


def _show(kept: str) -> str:
    """Return a pair of name and value that may be shown, unless the value shows a person.

    The shape of a time alone leaves no room for one.
    """
    is_suspect = kept.count(":") >= _COLONS or _FOUR_DIGITS.search(kept)
    if not kept.endswith('"') or not is_suspect:
        return kept
    name, colon, value = kept.partition(":")
    if name in _TIMES:
        return kept
    return name + colon + _mask(value) if _shows_person(value) else kept


def _shows_person(quoted: str) -> bool:
    return any(shape.search(quoted) for shape in _HIDDEN)


def _mask(text: str) -> str:
    return (text if text.isascii() else _OTHER.sub("x", text)).translate(_MASK)
