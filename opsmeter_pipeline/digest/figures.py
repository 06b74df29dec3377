"""Numbers for a reader of the digest: dollars, shares and changes in digits that count."""

from decimal import ROUND_HALF_EVEN, Context, Decimal

_THREE = Context(prec=3, rounding=ROUND_HALF_EVEN)


def usd(amount: Decimal) -> str:
    """Return dollars to the cent; below ten cents, three digits that count.

    >>> usd(Decimal("1234.5678")), usd(Decimal("-0.00123456")), usd(Decimal(0))
    ('$1,234.57', '-$0.00123', '$0.00')
    """
    sign = "-" if amount < 0 else ""
    size = abs(amount)
    if size and size < Decimal("0.1"):
        return f"{sign}${_THREE.plus(size).normalize():f}"
    return f"{sign}${size:,.2f}"


def signed_usd(amount: Decimal) -> str:
    """Return a change in dollars.

    >>> signed_usd(Decimal("12.5"))
    '+$12.50'
    """
    return usd(amount) if amount < 0 else f"+{usd(amount)}"


def share(part: Decimal | int, whole: Decimal | int) -> str:
    """Return a part in percent, or that there is nothing to divide by.

    >>> share(1, 3), share(1, 0), share(1, 10_000)
    ('33.3 %', 'none', 'less than 0.1 %')
    """
    if not whole:
        return "none"
    percent = 100 * Decimal(part) / Decimal(whole)
    return "less than 0.1 %" if 0 < percent < Decimal("0.1") else f"{percent:.1f} %"


def growth(before: Decimal | int, now: Decimal | int) -> str:
    """Return a change in percent of what was before.

    >>> growth(100, 123), growth(0, 5), growth(0, 0), growth(3, 3)
    ('+23.0 %', 'new', 'none', '0.0 %')
    """
    if not before:
        return "new" if now else "none"
    percent = 100 * (Decimal(now) - Decimal(before)) / Decimal(before)
    return f"{percent:+.1f} %" if now != before else "0.0 %"


def per_request(cost: Decimal, requests: int) -> Decimal | None:
    """Return a ratio for reading; None if there were no requests."""
    return cost / requests if requests else None


def usd_or_none(amount: Decimal | None) -> str:
    """Return dollars, or that there is no such number."""
    return "none" if amount is None else usd(amount)
