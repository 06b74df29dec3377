"""What may not stand in the clear inside any other text of an event, whatever its field is for.

E-mail addresses and international phone numbers are looked for in every text; in `extra`, whose
fields nobody has agreed on, also what other shapes and names of fields give away. Prefer
precision here: a request id or a model's name must not be taken for a person.
"""

import json
import re

from opsmeter_pipeline.contract.identifiers import (
    GROUPED,
    IBAN,
    IPV4,
    find_shape,
    is_iban,
    normalise,
)

SUSPICIOUS = r"[@+%&\\]"
"""One of these, or a letter beyond ASCII, is in every text in which `find_personal` finds
something: what is read as `@` or `+`, and what begins an escape."""
LIKE_BASE64 = r"^[A-Za-z0-9/=_.:+-]*$"
NUMBER_AFTER_PLUS = r"\+[0-9](?:[./-]{0,2}[0-9]){6}"
"""Of these, a text like base64 holds something only if it has such a number."""
REDACTED = "(redacted)"
_EMAIL = re.compile(
    r"""\S\s?@\s?(?:[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}|\[?\d{1,3}(?:\.\d{1,3}){3})"""
)
_PHONE = re.compile(r"(?<![\w+])\+[\s(]{0,2}\d(?:[\s().\/-]{0,2}\d){6,14}(?!\d)")
_FULL_NAME = re.compile(
    r"[^\W\d_a-z][^\W\d_]*(?:['\u2019.-]+[^\W\d_]+)*\.?(?: [^\W\d_a-z][^\s\d_]*){1,3}"
)
_OF_PERSON = re.compile(
    r"(?:^|_)(?:e_?mail|phone|mobile|tel|msisdn|ssn|iban|ip|ip_address|first_?name|last_?name"
    r"|full_?name|sur_?name|given_?name|display_?name|user_?name|customer_?name|user|customer"
    r"|login|account|address|birth_?day|birth_?date|dob|person|contact)s?(?:_?(?:id|no|number))?$"
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PIECE = re.compile(
    r'(?P<text>"(?:[^"\\]|\\.)*+")(?P<colon>\s*:)?|(?P<bracket>[\[{\]}])'
    r"|(?P<number>-?\d[\d.eE+-]*)|(?P<rest>[^\"\[\]{}\d-]+|-)"
)


def find_personal(text: str) -> str | None:
    """Return what personal thing stands in a text of any field, or None.

    >>> find_personal("v3 for ann@example.com")
    'an e-mail address'
    >>> find_personal("claude-sonnet-4@20250514") is None
    True
    """
    seen = normalise(text)
    if _EMAIL.search(seen):
        return "an e-mail address"
    return "a phone number" if _PHONE.search(seen) else None


def is_personal(text: str) -> bool:
    """Return whether a text of unknown use shows a person, by any shape that is sure enough."""
    seen = normalise(text)
    return bool(
        find_personal(text)
        or IPV4.search(seen)
        or GROUPED.search(seen)
        or _FULL_NAME.fullmatch(seen)
        or any(is_iban(found[0]) for found in IBAN.finditer(seen))
    )


def redact_extra(text: str) -> str:
    """Return unknown fields, a JSON object, with what could name a person replaced.

    Fields, structure and everything else stay as they were written.

    >>> redact_extra('{"region":"eu","note":"ask ann@example.com","user":{"phone":[4711,"u_1"]}}')
    '{"region":"eu","note":"(redacted)","user":{"phone":["(redacted)","u_1"]}}'
    """
    pieces: list[str] = []
    outer: list[bool] = []  # for each open bracket, whether what is around it is of a person
    is_of_person, hidden_names = False, 0
    for found in _PIECE.finditer(text):
        piece = found[0]
        if found["colon"]:
            name = json.loads(found["text"])
            is_of_person = _names_person(name) or (bool(outer) and outer[-1])
            if is_personal(name):
                hidden_names += 1
                piece = f'"{REDACTED[:-1]} {hidden_names})"{found["colon"]}'
        elif found["text"]:
            value = json.loads(found["text"])
            is_raw = is_of_person and not _is_opaque(value)
            piece = f'"{REDACTED}"' if is_raw or is_personal(value) else piece
        elif found["number"]:
            piece = f'"{REDACTED}"' if is_of_person else piece
        elif piece in "[{":
            outer.append(is_of_person and piece == "[")
        elif found["bracket"] and outer:
            outer.pop()
            is_of_person = bool(outer) and outer[-1]
        pieces.append(piece)
    return "".join(pieces)


def _names_person(name: str) -> bool:
    return _OF_PERSON.search(_HUMP.sub("_", name).lower().replace("-", "_")) is not None


def _is_opaque(text: str) -> bool:
    """Return whether a text can stand under a person's name: `ann` is a name there."""
    return find_shape(text) is None and any(map(str.isdigit, text))
