"""What a raw identifier looks like: the shapes that no hash and no opaque id has.

`find_shape` judges a `tenantId` or `userId`, which must be an opaque token; add a shape to
`SHAPES` and `_FINDERS`. What to look for inside other texts stands in `contract.personal`.
A shape is precise rather than complete: `ann`, `ann_lee` and `u_4915112345678` look like tokens
and pass (ADR 0009 says what else does).
"""

import html
import ipaddress
import re
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType
from urllib.parse import unquote

PLAIN_ID = (
    r"^(?:[0-9]*[a-z][0-9a-z]*|[0-9]+[A-Za-z][0-9A-Za-z]*"
    r"|[A-Za-z][0-9][0-9A-Za-z]*|[A-Za-z][a-z][A-Za-z]*[0-9][0-9A-Za-z]*"
    r"|[A-Za-z][A-Za-z0-9]{0,15}[_-][A-Za-z_]*[0-9][A-Za-z0-9_]*"
    r"|[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12})$"
)
"""Tokens that are seen to be opaque in bulk: no shape fits any of them. What this pattern does
not know is asked one by one."""

SHAPES: Mapping[str, str] = MappingProxyType(
    {
        "an e-mail address or handle": "`@` anywhere, also full-width or as `%40` or `&#64;`",
        "a web address": "`://`, or `mailto:`, `tel:`, `sip:`, `www.` at the start",
        "an IP or MAC address": "IPv4 anywhere, IPv6 or MAC as a whole",
        "a plain number": "digits only, with or without a sign",
        "digits without a letter": "phone, card, national number, date of birth: digits and "
        "punctuation only",
        "a phone number": "`+` and 7 or more digits, or groups like `555-010-9999`",
        "a card or national number": "groups like `4111-1111-1111-1111` or `078-05-1120`",
        "a bank account": "an IBAN whose check digits are right",
        "text with white space": "white space between other characters, as in `Ann Lee`",
        "letters beyond ASCII": "no hash, hex, base32, base64 or UUID has them",
        "characters no token has": "other than ASCII letters, digits, a vertical bar and "
        "`_-.:+/=~#$*`",
        "words joined by dots": "`ann.lee`, `a.b.lee84`: the first half of most e-mail addresses",
        "a capitalised name": "`Ann`, `Ann-Lee`, `Ann_Lee`: capitalised words and nothing else",
    }
)
"""Each shape by the name that `quarantine.detail` shows, in the order in which they are asked."""

_UUID = re.compile(r"(?:urn:uuid:)?\{?[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}?")
_URL = re.compile(r"://|^(?:mailto|tel|sips?):|^www\.", re.IGNORECASE)
_MAC = re.compile(r"[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}", re.IGNORECASE)
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
IPV4 = re.compile(rf"(?<![\d.])(?:{_OCTET}\.){{3}}{_OCTET}(?!\.?\d)")
_PHONE = re.compile(r"\+\d{7}|(?<![0-9A-Za-z])\d{3}[-.]\d{3}[-.]\d{4}(?![0-9A-Za-z])")
GROUPED = re.compile(
    r"(?<![0-9A-Za-z-])(?:\d{4}[-. ]\d{4}[-. ]\d{4}[-. ]\d{1,7}|\d{3}-\d{2}-\d{4})(?![0-9A-Za-z-])"
)
IBAN = re.compile(r"(?<![\w-])[A-Z]{2}\d{2}[A-Z]{0,4}\d{10,22}[0-9A-Z]{0,12}(?![\w-])", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9_.:+/=~|#$*-]*")
_DOTTED = re.compile(r"[A-Za-z][A-Za-z'-]*(?:\.[A-Za-z][A-Za-z'-]*){1,3}[0-9]{0,4}")
_CAPITALISED = re.compile(r"[A-Z][a-z]+(?:[_-][A-Z][a-z]+)*")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_ESCAPED = re.compile(r"[%&\\]")
_UNSEEN = {"Cf", "Cc", "Mn"}


def normalise(text: str) -> str:
    r"""Return a text as a person would read it: unescaped, in usual forms, nothing invisible.

    >>> normalise(" ann%2540\uff45xample.com")
    'ann@example.com'
    """
    for _ in range(3 if _ESCAPED.search(text) else 0):
        plain = html.unescape(unquote(_ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)))
        if plain == text:
            break
        text = plain
    usual = unicodedata.normalize("NFKC", text)
    if not usual.isascii() or not usual.isprintable():
        usual = "".join(c for c in usual if c.isspace() or unicodedata.category(c) not in _UNSEEN)
    return usual.strip()


def find_shape(value: str) -> str | None:
    """Return the shape in which a tenant's or user's id is raw, or None if it is opaque.

    >>> find_shape("ann.lee@example.com")
    'an e-mail address or handle'
    >>> find_shape("4915112345678")
    'a plain number'
    >>> find_shape("u_13506399988591660497") is None
    True
    """
    if not value.strip() or _UUID.fullmatch(value):
        return None
    seen = normalise(value)
    return next((shape for shape, fits in _FINDERS.items() if fits(seen)), None)


def is_iban(text: str) -> bool:
    """Return whether an account number's check digits are right (ISO 13616).

    >>> is_iban("DE89370400440532013000"), is_iban("DE88370400440532013000")
    (True, False)
    """
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


def _is_address(text: str) -> bool:
    if IPV4.search(text) or _MAC.fullmatch(text):
        return True
    if text.count(":") < 2:
        return False
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def _has_no_letter(text: str) -> bool:
    return not any(map(str.isalpha, text)) and any(map(str.isdigit, text))


def _is_account(text: str) -> bool:
    return any(is_iban(found[0]) for found in IBAN.finditer(text))


_FINDERS: Mapping[str, Callable[[str], object]] = MappingProxyType(
    dict(
        zip(
            SHAPES,
            (
                lambda text: "@" in text,
                _URL.search,
                _is_address,
                re.compile(r"[+-]?\d+").fullmatch,
                _has_no_letter,
                _PHONE.search,
                GROUPED.search,
                _is_account,
                re.compile(r"\s").search,
                lambda text: not text.isascii(),
                lambda text: not text or not _TOKEN.fullmatch(text),
                _DOTTED.fullmatch,
                _CAPITALISED.fullmatch,
            ),
            strict=True,
        )
    )
)
