"""Asks the page's server on this machine, by HTTP, as a person or a script would.

Reading only, each with an end. What is down, locked or slow is told in words and never raised.
"""

import contextlib
import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import NamedTuple
from urllib.parse import urlencode

from opsmeter_pipeline.model.hours import HourRange
from opsmeter_pipeline.model.probe import PROBE_DATA_MODE, PROBE_ENDPOINT, PROBE_ENVIRONMENT
from opsmeter_pipeline.settings import Settings

_ALIVE_SECONDS = 2.0
_ANSWER_SECONDS = 8.0
"""How long an answer may take: a sensor waits for it in a tick of 60 s at most."""
_MOST = 1000
"""As many rows as the page tells at once: probes of three days and more."""
_LONGEST_ERROR = 200


class Shown(NamedTuple):
    """What the page showed of probes.

    Attributes:
        probe_ids: their prompt versions.
        error: why it could not be asked; None if it answered.
    """

    probe_ids: frozenset[str]
    error: str | None


def ask_page(port: int) -> str | None:
    """Return why the page on loopback does not answer, or None if it does."""
    try:
        said = _get(f"http://127.0.0.1:{port}/healthz", {}, seconds=_ALIVE_SECONDS, most=16)
    except urllib.error.HTTPError as exc:
        return f"something else answers there, with status {exc.code}"
    except (OSError, HTTPException) as exc:
        return _tell_silence(exc)
    return None if said == b"alive\n" else "something else answers there"


def read_shown(settings: Settings, *, hours: HourRange) -> Shown:
    """Return which probes of these hours the page's API shows, each by a sum of one attempt.

    Args:
        settings: of the home; they name the page's port and token.
        hours: when the probes were sent.
    """
    question = {
        "data_mode": PROBE_DATA_MODE,
        "environment": PROBE_ENVIRONMENT,
        "from": f"{hours.start_at:%Y-%m-%dT%H:%M:%SZ}",
        "to": f"{hours.end_at:%Y-%m-%dT%H:%M:%SZ}",
        "limit": _MOST,
    }
    path = f"/api/v1/endpoints/{PROBE_ENDPOINT}?{urlencode(question)}"
    token = settings.dashboard_token
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
    address = f"http://127.0.0.1:{settings.dashboard_port}"
    try:
        rows = json.loads(_get(f"{address}{path}", headers, seconds=_ANSWER_SECONDS))["rows"]
        found = frozenset(row["prompt_version"] for row in rows if row["attempts"] == 1)
    except urllib.error.HTTPError as exc:
        return Shown(frozenset(), f"{address} answered {exc.code}: {_read_error(exc)}")
    except (OSError, HTTPException) as exc:
        return Shown(frozenset(), f"{address}: {_tell_silence(exc)}")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Shown(frozenset(), f"{address}: something else answers there")
    return Shown(found, None)


def _get(
    address: str, headers: dict[str, str], *, seconds: float, most: int | None = None
) -> bytes:
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - loopback, http
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=seconds) as answer:
        return answer.read(most)


def _tell_silence(error: Exception) -> str:
    return f"no answer ({getattr(error, 'reason', None) or error})"


def _read_error(error: urllib.error.HTTPError) -> str:
    try:
        with error:
            said = error.read(10 * _LONGEST_ERROR).decode(errors="replace")
    except (OSError, HTTPException):
        return error.reason
    with contextlib.suppress(ValueError, KeyError, TypeError):
        said = json.loads(said)["error"]
    return " ".join(str(said).split())[:_LONGEST_ERROR]
