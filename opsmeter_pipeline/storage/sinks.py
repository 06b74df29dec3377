"""Who is told: addresses that apprise understands, and what became of one message to one of them.

An address is a secret: it holds tokens and passwords. It is shown as its kind and a hash, and
nothing of it is left in an error. `apprise` is imported where something is sent, nowhere else.
"""

import hashlib
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

if TYPE_CHECKING:
    from io import StringIO

SEND_SECONDS = 10.0
"""How long one sink may take; far less than a claim lasts."""
_PLAIN = ("json", "jsons", "form", "forms", "xml", "xmls")
_PASSWORDS = re.compile(r"(?i)(?:^|&)(?:pass|password|pwd)=[^&]*")
_LONGEST_ERROR = 300
_SHORTEST_SECRET = 4
_HIDDEN = "***"
_NOT_TAKEN = "the sink did not take it"


@dataclass(frozen=True)
class Sink:
    """Somebody who is told.

    Attributes:
        name: kind and hash of the address; the same for the same address, whoever asks.
        url: the address, for apprise.
    """

    name: str
    url: SecretStr


@dataclass(frozen=True)
class Letter:
    """One message as one sink gets it.

    Attributes:
        message_id: the same in each copy.
        incident_id: the incident it is about.
        kind: opened, escalated, resolved, digest or test.
        severity: warning or critical; info of a digest.
        subject: its subject.
        body: its text.
    """

    message_id: str
    incident_id: str
    kind: str
    severity: str
    subject: str
    body: str


def build_sinks(urls: Iterable[SecretStr]) -> tuple[Sink, ...]:
    """Return the sinks of these addresses; an address that is given twice is one sink."""
    named = {_name(url.get_secret_value()): url for url in urls}
    return tuple(Sink(name, url) for name, url in named.items())


def send(sink: Sink, letter: Letter) -> str | None:
    """Send a letter; return why the sink did not take it, or None if it did."""
    import apprise  # noqa: PLC0415 - takes a third of a second

    asset = apprise.AppriseAsset(async_mode=False, service_timeout=SEND_SECONDS)
    service = apprise.Apprise(asset=asset)
    address = address_letter(sink.url.get_secret_value(), letter)
    said = ""
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as captured:
        if not service.add(address):
            return "apprise does not understand this address"
        if service.notify(body=letter.body, title=letter.subject, notify_type=_kind(letter)):
            return None
        said = " ".join(cast("StringIO", captured).getvalue().split())
    return redact(said, sink.url.get_secret_value())[:_LONGEST_ERROR] or _NOT_TAKEN


def address_letter(url: str, letter: Letter) -> str:
    """Return the address with what lets a receiver drop a second copy of the letter.

    `{message_id}`, `{incident_id}`, `{kind}` and `{severity}` in an address are filled in. A plain
    webhook gets the header `Idempotency-Key` and fields beside the text; PagerDuty gets one
    `dedup_key` for the incident, so that its end closes what its start opened.
    """
    told = {name: getattr(letter, name) for name in ("message_id", "incident_id", "kind",
                                                     "severity")}  # fmt: skip
    for name, value in told.items():
        url = url.replace(f"{{{name}}}", value)
    scheme = urlsplit(url).scheme.lower()
    extra: list[str] = []
    if scheme in _PLAIN:
        extra.append(f"+Idempotency-Key={letter.message_id}")
        extra.extend(f":{name}={value}" for name, value in told.items())
    if scheme == "pagerduty":
        extra.extend(
            f"{name}={value}"
            for name, value in (("dedup", letter.incident_id), ("action", "map"))
            if f"{name}=" not in url
        )
    return url + ("&" if "?" in url else "?") + "&".join(extra) if extra else url


def redact(text: str, url: str) -> str:
    """Return the text without anything that stands in the address but its scheme.

    >>> redact("no answer from hooks.example for tok3n", "jsons://hooks.example/tok3n")
    'no answer from *** for ***'
    """
    rest = url.partition("://")[2]
    spellings = (rest, unquote(rest))
    parts = {*spellings, *(part for one in spellings for part in re.split(r"[/?&=@:]", one))}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= _SHORTEST_SECRET:
            text = text.replace(part, _HIDDEN)
    return text


def _kind(letter: Letter) -> Any:  # noqa: ANN401 - apprise brings no types
    from apprise import NotifyType  # noqa: PLC0415 - see `send`

    if letter.kind in {"resolved", "test", "digest"}:
        return NotifyType.SUCCESS if letter.kind == "resolved" else NotifyType.INFO
    return NotifyType.FAILURE if letter.severity == "critical" else NotifyType.WARNING


def _name(url: str) -> str:
    """Return the sink's name; passwords do not enter the hash, so that none can be tried on it."""
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    account, at, host = place.rpartition("@")
    told = f"{account.partition(':')[0]}{at}{host}?{_PASSWORDS.sub('', query)}"
    return f"{scheme.lower()}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
