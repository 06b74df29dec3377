"""Which lines are regular: what the lines of a chunk look like, learned from a sample of them.

A line is regular if one pattern proves it well-formed: a flat object of known fields in an order
that the sample showed, each at most once, each with a value of its kind, no escapes. Only then is
the bulk parser of `contract.lines` trusted, which would otherwise alter numbers and texts in
silence. Add a kind of value here when the payload gets one.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import NamedTuple

import polars as pl

from opsmeter_pipeline.model.wire import WIRE, Kind

_SAMPLE_LINES = 200
_MAX_ORDERS = 8
_NAME = re.compile(r'"(\w{1,40})":')
_KIND_OF: dict[str, Kind] = {field.name: field.kind for field in WIRE}
# Two patterns for text, because the one for all of Unicode takes 1.7 times as long.
_ASCII_TEXT = r'"[ !#-\[\]-~]*"'
_ANY_TEXT = r'"[^"\\\x00-\x1f]*"'
_COUNT = r"(?:0|[1-9][0-9]{0,12})"
_RFC3339 = (
    r'"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}'
    r'(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"'
)


class Regular(NamedTuple):
    """Which lines of a chunk are regular.

    Attributes:
        mask: true where a line is; as long as the lines, never null.
        fields: the names of all fields that regular lines may have, as they are on the wire.
    """

    mask: pl.Series
    fields: frozenset[str]


def find_regular(line: pl.Series) -> Regular:
    """Return which lines are regular; null lines are not.

    What a first sample did not show, of orders or of letters, a second one of the lines that are
    left may.
    """
    mask = pl.zeros(len(line), pl.Boolean, eager=True)
    fields: frozenset[str] = frozenset()
    for text in (_ASCII_TEXT, _ANY_TEXT):
        left = line.filter(~mask)
        orders = _learn_orders(left)
        if not orders:
            break
        found = left.str.contains(_build_pattern(orders, text)).fill_null(value=False)
        mask = found if len(left) == len(line) else mask.scatter((~mask).arg_true(), found)
        fields |= {name for order in orders for name in order.names}
        if found.all():
            break
    return Regular(mask, fields)


class _Order(NamedTuple):
    """An order of fields that several lines keep, each with all of the fields or some."""

    names: tuple[str, ...]
    first: frozenset[str]


def _learn_orders(line: pl.Series) -> list[_Order]:
    """Return the orders that a sample taken evenly from the lines shows, frequent ones first."""
    step = max(1, len(line) // _SAMPLE_LINES)
    sample = line.gather_every(step).drop_nulls()
    seen = Counter(tuple(_NAME.findall(one)) for one in sample)
    known = (names for names, _ in seen.most_common() if _is_known(names))
    return list(_merge_orders(known))


def _is_known(names: Sequence[str]) -> bool:
    return bool(names) and len(set(names)) == len(names) and _KIND_OF.keys() >= set(names)


def _merge_orders(seen: Iterable[tuple[str, ...]]) -> Iterator[_Order]:
    """Yield as few orders as hold all that were seen: those that do not contradict become one."""
    merged: list[tuple[dict[str, set[str]], set[str]]] = []
    for names in seen:
        for graph, first in merged:
            joined = {name: set(before) for name, before in graph.items()}
            for before, name in zip((None, *names), names, strict=False):
                joined.setdefault(name, set()).update([before] if before else [])
            if _is_acyclic(joined):
                graph.update(joined)
                first.add(names[0])
                break
        else:
            if len(merged) < _MAX_ORDERS:
                graph = {name: {before} for before, name in pairwise(names)}
                merged.append((graph | {names[0]: set()}, {names[0]}))
    for graph, first in merged:
        yield _Order(tuple(TopologicalSorter(graph).static_order()), frozenset(first))


def _is_acyclic(graph: dict[str, set[str]]) -> bool:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        return False
    return True


def _build_pattern(orders: Sequence[_Order], text: str) -> str:
    bodies = (
        _pair(name, text) + "".join(f"(?:, ?{_pair(one, text)})?" for one in order.names[nth + 1 :])
        for order in orders
        for nth, name in enumerate(order.names)
        if name in order.first
    )
    return rf"^\{{(?:{'|'.join(bodies)})\}}$"


def _pair(name: str, text: str) -> str:
    value = {
        "text": text,
        "count": _COUNT,
        "status": rf"(?:{text}|[1-5][0-9]{{2}})",
        "instant": rf"(?:{_RFC3339}|{_COUNT})",
    }[_KIND_OF[name]]
    return f'"{name}": ?(?:{value}|null)'
