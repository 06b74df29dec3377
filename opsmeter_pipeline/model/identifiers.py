"""What is done with an identifier that its sender did not hash: the policy, as a plain value.

The settings build it, the `contract` stage applies it. What counts as raw stands in
`contract.identifiers`.
"""

import hmac
from dataclasses import dataclass, field

MIN_KEY_BYTES = 16
"""A key shorter than the digest that is kept would be the easier thing to guess."""
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class IdentifierPolicy:
    """Refuse a line with a raw identifier, or hash the identifier if there is a key.

    Attributes:
        key: the secret of the hash; None refuses. It is never shown.
    """

    key: bytes | None = field(default=None, repr=False)


REFUSE = IdentifierPolicy()


def hash_identifier(value: str, *, name: str, key: bytes) -> str:
    """Return what stands for a raw identifier: `h_` and 32 hex digits, the same in every run.

    HMAC-SHA-256 over `opsmeter:<name>:<value>`, so that a tenant and a user of one spelling do
    not share a hash. Cut to 128 bits, the least RFC 2104 (section 5) allows for SHA-256: two of a
    billion identifiers meet with a chance of 1 in 10^21.

    Args:
        value: the identifier as it was sent, to the character.
        name: the field's name on the wire.
        key: the secret.

    >>> hash_identifier("ann@example.com", name="userId", key=b"sixteen bytes or more")
    'h_ccf038eebb028bec191f1359fb4b2aa9'
    """
    message = f"opsmeter:{name}:{value}".encode()
    return f"h_{hmac.digest(key, message, 'sha256')[:_DIGEST_BYTES].hex()}"
