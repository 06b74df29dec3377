"""The user's own file `prices.toml`: contract rates, private models, overrides and aliases.

Turns its text into entries, or into all that is wrong with it. Add a key to `PRICE_KEYS` here and
its reader in `own_values`. Rows of `price_catalogue` are made of entries in `own_rows`; which
version of the file prices is decided in `storage.price_versions`.
"""

import tomllib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import combinations
from typing import Any, TypeVar, cast

from opsmeter_pipeline.model.price_errors import (
    OwnPricesError,
)
from opsmeter_pipeline.price.own_names import Name, key_of
from opsmeter_pipeline.price.own_values import (
    CLASS_KEYS,
    TableReader,
    build_tenant_reader,
    read_count,
    read_currency,
    read_environment,
    read_instant,
    read_name,
    read_price,
    read_service_tier,
    refuse,
)

PRICE_KEYS = (
    *("provider", "model", "valid_from", "valid_to", "environment", "tenant", "service_tier"),
    *("currency", *CLASS_KEYS, "tier"),
)
TIER_KEYS = ("above_input_tokens", *CLASS_KEYS)
ALIAS_KEYS = ("provider", "model", "means_provider", "means_model")

Entry = TypeVar("Entry")
FindShape = Callable[[str], str | None]
"""Names the shape in which an identifier is raw, or None; see `contract.identifiers`."""


@dataclass(frozen=True)
class OwnPrice:
    """One `[[price]]`: all prices of a model under a condition.

    Attributes:
        label: how messages and price ids name it: `price` and its number in the file.
        name: what it prices.
        prices: exact dollars of one unit by token class.
        tiers: the same above a count of input tokens, by that count.
        valid_from: first instant (UTC); None is since ever.
        valid_to: first instant after it (UTC); None is until further.
        environment: only events of this environment.
        tenant_id: only events of this tenant, as events hold it.
        service_tier: only requests of this tier; `default` is the standard one.
    """

    label: str
    name: Name
    prices: Mapping[str, Decimal]
    tiers: Mapping[int, Mapping[str, Decimal]]
    valid_from: datetime | None
    valid_to: datetime | None
    environment: str | None
    tenant_id: str | None
    service_tier: str

    @property
    def condition(self) -> tuple[Name, str | None, str | None, str]:
        """Whom and what it prices; only entries that share it can collide."""
        return self.name, self.environment, self.tenant_id, self.service_tier

    def overlaps(self, other: "OwnPrice") -> bool:
        """Whether both are in force at some instant."""
        return not (
            _ends_before(self.valid_to, other.valid_from)
            or _ends_before(other.valid_to, self.valid_from)
        )


@dataclass(frozen=True)
class Alias:
    """One `[[alias]]`: a name callers use, such as a deployment's, and the model it means."""

    label: str
    name: Name
    means: Name


@dataclass(frozen=True)
class OwnPrices:
    """All entries of one version of the file."""

    prices: tuple[OwnPrice, ...] = ()
    aliases: tuple[Alias, ...] = ()

    @property
    def has_any(self) -> bool:
        """Whether there is an entry at all."""
        return bool(self.prices or self.aliases)


def parse_prices(content: bytes, *, file: str, find_shape: FindShape) -> OwnPrices:
    """Return the entries of the file in its order; an empty file has none.

    Args:
        content: the file's bytes.
        file: its name, for messages.
        find_shape: names the shape in which a tenant's id is raw.

    Raises:
        OwnPricesError: something in it cannot be used; the text lists each entry with the remedy.
    """
    document, problems = _load(content, file), list[str]()
    top = TableReader(document, ("currency", "price", "alias"))
    top.take("currency", read_currency)
    problems.extend(top.problems)
    prices = [*_read_all(document, "price", _price_reader(find_shape), problems)]
    aliases = [*_read_all(document, "alias", _read_alias, problems)]
    problems.extend(_find_collisions(prices, aliases))
    if problems:
        raise OwnPricesError(file, problems)
    return OwnPrices(tuple(prices), tuple(aliases))


def _load(content: bytes, file: str) -> dict[str, object]:
    try:
        return tomllib.loads(content.decode("utf-8-sig"), parse_float=Decimal)
    except UnicodeDecodeError as exc:
        raise OwnPricesError(file, [f"byte {exc.start} is not UTF-8; save it as UTF-8"]) from exc
    except RecursionError as exc:
        raise OwnPricesError(file, ["it is nested too deep; write tables of one level"]) from exc
    except (ValueError, ArithmeticError) as exc:  # its syntax, or a number beyond all bounds
        raise OwnPricesError(file, [f"it cannot be read as TOML: {exc}"]) from exc


def _read_all(
    document: Mapping[str, object],
    kind: str,
    read: Callable[[TableReader, str], Any],
    problems: list[str],
) -> Iterator[Any]:
    """Yield the entries of a kind that can be used; what is wrong with others is noted."""
    for number, table in enumerate(_tables(document.get(kind, []), kind, problems), start=1):
        label = f"{kind} {number}"
        reader = TableReader(table, PRICE_KEYS if kind == "price" else ALIAS_KEYS)
        entry = read(reader, label)
        if not reader.problems:
            yield entry
        called = [table[key] for key in ("provider", "model") if isinstance(table.get(key), str)]
        named = f"{label} ({' '.join(map(str, called))})" if called else label
        problems.extend(f"{named}: {problem}" for problem in reader.problems)


def _tables(value: object, kind: str, problems: list[str]) -> Sequence[Mapping[str, object]]:
    items = cast("list[object]", value) if isinstance(value, list) else [None]
    if all(isinstance(item, dict) for item in items):
        return cast("list[dict[str, object]]", items)
    problems.append(f"{kind}: write each as a table of its own, under a header [[{kind}]]")
    return []


def _price_reader(find_shape: FindShape) -> Callable[[TableReader, str], OwnPrice]:
    read_tenant = build_tenant_reader(find_shape)

    def read(reader: TableReader, label: str) -> OwnPrice:
        reader.take("currency", read_currency)
        price = OwnPrice(
            label=label,
            name=_read_name(reader, "provider", "model"),
            prices=_read_classes(reader),
            tiers=_read_tiers(reader),
            valid_from=reader.take("valid_from", read_instant),
            valid_to=reader.take("valid_to", read_instant),
            environment=reader.take("environment", read_environment),
            tenant_id=reader.take("tenant", read_tenant),
            service_tier=reader.take("service_tier", read_service_tier) or "default",
        )
        if not reader.problems:
            reader.problems.extend(_judge(price))
        return price

    return read


def _judge(price: OwnPrice) -> Iterator[str]:
    """Yield what is wrong with values that are right by themselves."""
    if not price.prices:
        yield f"it has no price; add {next(iter(CLASS_KEYS))} or another of these keys"
    if price.valid_from and price.valid_to and price.valid_from >= price.valid_to:
        yield "valid_to is not after valid_from; it is the first instant without this price"
    for above, prices in price.tiers.items():
        if prices.keys() - price.prices.keys():
            yield f"tier above {above} has a price the entry has not; add it to the entry too"


def _read_name(reader: TableReader, provider_key: str, model_key: str) -> Name:
    provider = reader.need(provider_key, read_name) or ""
    model = reader.need(model_key, read_name) or ""
    return key_of((provider, model))


def _read_classes(reader: TableReader) -> dict[str, Decimal]:
    """Return the price of one unit by token class, exactly."""
    prices: dict[str, Decimal] = {}
    for key, token_class in CLASS_KEYS.items():
        price = reader.take(key, read_price)
        if price is not None:
            prices[token_class] = price.scaleb(-6) if key.endswith("_per_mtok") else price
    return prices


def _read_tiers(reader: TableReader) -> dict[int, dict[str, Decimal]]:
    tables = reader.take("tier", _as_tiers) or []
    tiers: dict[int, dict[str, Decimal]] = {}
    for table in tables:
        tier = TableReader(table, TIER_KEYS)
        above, prices = tier.need("above_input_tokens", read_count), _read_classes(tier)
        if above in tiers:
            tier.problems.append(f"above_input_tokens {above} occurs twice; keep one")
        if not prices:
            tier.problems.append("it has no price; add one or remove it")
        reader.problems.extend(f"tier: {problem}" for problem in tier.problems)
        if above is not None:
            tiers[above] = prices
    return tiers


def _as_tiers(value: object) -> Sequence[Mapping[str, object]]:
    wrong: list[str] = []
    tables = _tables(value, "price.tier", wrong)
    if wrong:
        refuse("is no list of tables; write each under a header [[price.tier]]")
    return tables


def _read_alias(reader: TableReader, label: str) -> Alias:
    return Alias(
        label=label,
        name=_read_name(reader, "provider", "model"),
        means=_read_name(reader, "means_provider", "means_model"),
    )


def _find_collisions(prices: Sequence[OwnPrice], aliases: Sequence[Alias]) -> Iterator[str]:
    """Yield the entries that contradict each other."""
    for one, other in _pairs(prices, lambda price: price.condition):
        if one.overlaps(other):
            yield (
                f"{one.label} and {other.label} ({' '.join(one.name)}): both price the same "
                f"requests at the same time; set valid_to of one to valid_from of the other, or "
                f"remove one"
            )
    for one, other in _pairs(aliases, lambda alias: alias.name):
        yield f"{one.label} and {other.label} ({' '.join(one.name)}): one name; remove one"
    aliased = {alias.name for alias in aliases}
    for alias in aliases:
        if alias.means in aliased:
            yield f"{alias.label} ({' '.join(alias.name)}): it means an alias; name the model"
    for price in prices:
        if price.name in aliased:
            yield f"{price.label} ({' '.join(price.name)}): it is an alias too; price what it means"


def _pairs(
    entries: Sequence[Entry], key: Callable[[Entry], Hashable]
) -> Iterator[tuple[Entry, Entry]]:
    """Yield each two entries that share a key; a file of thousands of names has few of them."""
    alike: defaultdict[Hashable, list[Entry]] = defaultdict(list)
    for entry in entries:
        alike[key(entry)].append(entry)
    for group in alike.values():
        yield from combinations(group, 2)


def _ends_before(end: datetime | None, start: datetime | None) -> bool:
    return end is not None and start is not None and end <= start
