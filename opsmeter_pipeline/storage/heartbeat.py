"""The dead-man's heartbeat: a call to somebody outside who notices when it stays away."""

import urllib.error
import urllib.request

from pydantic import SecretStr

_SECONDS = 5


def beat(url: SecretStr) -> str | None:
    """Call the address; return why it did not answer well, without the address, or None."""
    request = urllib.request.Request(  # noqa: S310 - settings accept http and https only
        url.get_secret_value(), headers={"User-Agent": "opsmeter"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310 - as above
            return None
    except urllib.error.HTTPError as exc:
        return f"the heartbeat's address answered {exc.code}"
    except (OSError, ValueError) as exc:
        return f"the heartbeat's address did not answer ({type(exc).__name__})"
