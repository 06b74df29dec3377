"""Compiled reading of JSON lines: each line is proven and taken apart in one pass over its bytes.

A line is regular if it is one flat object of known fields, in any order, each at most once, each
with a value of its kind and no escapes. Of a regular line every value is kept; of any other
nothing is, and `contract.exact` reads it. When in doubt a line is not regular: this module may be
narrower than RFC 8259, never wider. Add a kind of value here when the payload gets one.
`contract.lines` makes rows of what is found here.

Longer than other modules because compiled code must stand together (`model.compiled`). Texts are
compared and searched a word of 8 bytes at a time, wherever it begins in memory: x86-64 and arm64
read such words as quickly as aligned ones. Nothing asks whether a position is within the text:
every line ends with a line feed, which ends every loop, and words are read only of lines behind
which there are 8 bytes more.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from opsmeter_pipeline.model.compiled import byte_at, compiled, inlined, put_word, word_at

Bytes: TypeAlias = NDArray[np.uint8]
Words: TypeAlias = NDArray[np.uint64]
Ints: TypeAlias = NDArray[np.int64]
Codes: TypeAlias = NDArray[np.uint32]

TEXT, COUNT, STATUS, INSTANT = range(4)
"""The kinds of a field, as numbers."""
_LF, _QUOTE, _BACKSLASH, _SPACE, _TAB, _CR = (ord(one) for one in '\n"\\ \t\r')
_OPEN, _CLOSE, _COLON, _COMMA = (ord(one) for one in "{}:,")
_ZERO, _ONE, _FIVE, _NINE = (ord(one) for one in "0159")
_N, _U, _L, _T, _Z = (ord(one) for one in "nulTZ")
_DASH, _PLUS, _DOT = (ord(one) for one in "-+.")
_WORD_BYTES = 8
_MOST_DIGITS, _MOST_EPOCH_DIGITS = 13, 15
_MOST_FRACTION_DIGITS = 9
_FIRST_YEAR, _LAST_YEAR = 1970, 9998
_NO_INSTANT = -(2**63)
_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, its bits without a pattern: 2^64 / golden ratio
_SEVEN, _HALF, _TOP = np.uint64(7), np.uint64(32), np.uint64(56)
_ONES = np.uint64(0x0101010101010101)
_HIGHS, _SPACES, _QUOTES, _BACKSLASHES = (
    _ONES * np.uint64(one) for one in (0x80, 0x20, 0x22, 0x5C)
)
_NUMBERS = np.uint64(0x0001020304050607)


class Fields(NamedTuple):
    """The known fields, in the order of the wire: field `f` has the bit `1 << f`.

    Attributes:
        names: each one's name and the quote after it, as words of 8 bytes, zeros behind.
        traits: of each, the columns `LENGTH`, `KIND` and `SLOT`.
        first_epoch_ms: the first instant that a number can name, in milliseconds since 1970.
        last_epoch_ms: the last one.
    """

    names: Words
    traits: Ints
    first_epoch_ms: int
    last_epoch_ms: int


LENGTH, KIND, SLOT = range(3)
"""How many bytes a field's name has, its kind, and its place: which dimension of `codes` it is, or
which row of `numbers`; the request id has none, -1."""


class Found(NamedTuple):
    """What the lines hold. Rows are regular lines, in their order.

    Attributes:
        ends: where each line ends, regular or not: the position of its line feed.
        kinds: of each line, whether it is `REGULAR`, `BLANK` or `OTHER`.
        present: of each row, the bits of the fields that have a value.
        ids: a line feed, then the request ids, each ended by one; empty where there is none.
        numbers: counts, and instants in microseconds since 1970, by slot and row.
        codes: of each dimension and row, which of its texts it is, from 1; 0 if it has none.
        texts: of each dimension, how many texts it has (`COUNTED`) and how many bytes they have, a
            line feed behind each (`BYTES`).
        spans: where the texts of each dimension begin and end in `kept`, by code.
        kept: all these texts, each once, side by side: where they stand in the lines, each look
            would have to wait for another page of memory.
        kept_end: where they end, one number.
        tables: of each dimension, codes by hash; as many as a power of two.
        order: the fields of the line before, in their order.
        values: of each field, its number or instant in the line, or where its text starts and ends.
    """

    ends: Ints
    kinds: Bytes
    present: Words
    ids: Bytes
    numbers: Ints
    codes: Codes
    texts: Ints
    spans: Ints
    kept: Bytes
    kept_end: Ints
    tables: Codes
    order: Ints
    values: Ints


COUNTED, BYTES = range(2)
OTHER, REGULAR, BLANK = range(3)


class Size(NamedTuple):
    """How much was found.

    Attributes:
        lines: how many; one too many if there are more than there is room for.
        rows: regular ones.
        id_bytes: bytes of ids.
        in_all: the bits that all rows have.
        in_any: the bits that any row has.
    """

    lines: int
    rows: int
    id_bytes: int
    in_all: np.uint64
    in_any: np.uint64


@compiled
def read_lines(text: Bytes, fields: Fields, found: Found) -> Size:
    """Fill `found` and return its sizes.

    Args:
        text: whole lines, each ended by a line feed.
        fields: the known fields.
        found: `ends` and `kinds` as long as there are lines, `ids` and `kept` two words longer than
            `text`, the others as there may be regular lines; `texts`, `kept_end`, `tables` and
            `order` are zeros.
    """
    in_all, in_any = ~np.uint64(0), np.uint64(0)
    position = row = line = 0
    limit = _end_of_lines(text, len(text) - _WORD_BYTES)
    id_end = _copy(text, 0, 0, found.ids, 0)
    while position < len(text):
        if line == len(found.ends):
            line += 1
            break
        end, present = -1, np.uint64(0)
        if position < limit:
            end, present = _read_line(text, position, fields, found)
        found.kinds[line] = OTHER
        if end >= 0:
            id_end = _keep_row(text, row, present, id_end, fields, found)
            found.kinds[line], found.present[row] = REGULAR, present
            in_all &= present
            in_any |= present
            row += 1
            position = end
        elif byte_at(text, _after_space(text, position)) == _LF:
            found.kinds[line] = BLANK
        while byte_at(text, position) != _LF:
            position += 1
        found.ends[line] = position
        line += 1
        position += 1
    return Size(line, row, id_end, in_all, in_any)


@inlined
def _end_of_lines(text: Bytes, position: int) -> int:
    """Return where the last line ends that lies before a position; 0 if none does."""
    while position > 0 and byte_at(text, position - 1) != _LF:
        position -= 1
    return max(position, 0)


@inlined
def _keep_row(
    text: Bytes, row: int, present: np.uint64, id_end: int, fields: Fields, found: Found
) -> int:
    """Write a regular line's values to its row, and return where the ids end then."""
    for field in range(len(fields.names)):
        slot, kind = fields.traits[field, SLOT], fields.traits[field, KIND]
        start, stop = found.values[field, 0], found.values[field, 1]
        has_value = present >> np.uint64(field) & np.uint64(1)
        if slot < 0:
            stop = stop if has_value else start
            id_end = _copy(text, start, stop, found.ids, id_end)
        elif kind in (COUNT, INSTANT):
            if has_value:
                found.numbers[slot, row] = start
        else:
            found.codes[slot, row] = _find_code(text, start, stop, slot, found) if has_value else 0
    return id_end


@compiled
def count_lines(text: Bytes) -> int:
    """Return how many line feeds there are."""
    lines = 0
    for byte in text:
        lines += byte == _LF
    return lines


@compiled
def join_texts(found: Found, slot: int, joined: Bytes) -> None:
    """Write a dimension's texts by code to `joined`, line feeds before the first and after each."""
    joined[0], end = _LF, 1
    for code in range(1, found.texts[slot, COUNTED] + 1):
        for position in range(found.spans[slot, code, 0], found.spans[slot, code, 1] + 1):
            joined[end] = found.kept[position]
            end += 1


@inlined
def _read_line(text: Bytes, position: int, fields: Fields, found: Found) -> tuple[int, np.uint64]:
    """Read one line; return where its line feed is and the bits of the fields that have a value.

    Returns -1 and no bits if the line is not regular.
    """
    no = (-1, np.uint64(0))
    seen = present = np.uint64(0)
    position = _after_space(text, position)
    if byte_at(text, position) != _OPEN:
        return no
    nth = 0
    while True:
        position = _after_space(text, position + 1)
        if byte_at(text, position) != _QUOTE:  # asked first: no word begins behind the line
            return no
        field = _find_field(text, position + 1, nth, fields, found.order)
        if field < 0 or seen >> np.uint64(field) & np.uint64(1):
            return no
        bit = np.uint64(1) << np.uint64(field)
        seen |= bit
        position = _after_space(text, position + fields.traits[field, LENGTH] + 2)
        if byte_at(text, position) != _COLON:
            return no
        position = _after_space(text, position + 1)
        if byte_at(text, position) == _N:
            position = _after_null(text, position)
        else:
            present |= bit
            position = _read_value(text, position, field, fields, found.values)
        if position < 0:
            return no
        position = _after_space(text, position)
        if byte_at(text, position) != _COMMA:
            break
        nth += 1
    end = _after_space(text, position + 1)
    return (end, present) if byte_at(text, position) == _CLOSE and byte_at(text, end) == _LF else no


@inlined
def _find_field(text: Bytes, position: int, nth: int, fields: Fields, order: Ints) -> int:
    """Return the field whose name begins here, or -1; `order` is that of the last line."""
    names, traits = fields.names, fields.traits
    if _is_name(text, position, names, order[nth], traits[order[nth], LENGTH]):
        return order[nth]
    for field in range(len(names)):
        if _is_name(text, position, names, field, traits[field, LENGTH]):
            order[nth] = field
            return field
    return -1


@inlined
def _is_name(text: Bytes, position: int, names: Words, field: int, length: int) -> bool:
    """Return whether this field's name stands here, the quote after it included."""
    nth = 0
    while nth * 8 <= length:
        unlike = word_at(text, position + nth * 8) ^ names[field, nth]
        if length - nth * 8 < 7:
            unlike &= _first_bytes(length + 1 - nth * 8)
        if unlike:
            return False
        nth += 1
    return True


@inlined
def _first_bytes(count: int) -> np.uint64:
    """Return a word whose first bytes, 1 to 7, are all ones."""
    return ~np.uint64(0) >> np.uint64(64 - 8 * count)


@inlined
def _read_value(  # noqa: PLR0911 - a way out for each kind of value, and for each wrong one
    text: Bytes, position: int, field: int, fields: Fields, values: Ints
) -> int:
    """Read a field's value and return where it ends, or -1 if it is none of its kind.

    Its row of `values` gets the number or instant, or where the text starts and ends.
    """
    kind = fields.traits[field, KIND]
    if byte_at(text, position) == _QUOTE:
        start = position + 1
        end = _end_of_text(text, start)
        if end < 0 or kind == COUNT:
            return -1
        values[field, 0], values[field, 1] = start, end
        if kind == INSTANT:
            values[field, 0] = _read_instant(text, start, end)
            if values[field, 0] == _NO_INSTANT:
                return -1
        return end + 1
    end = _end_of_digits(text, position)
    if end == position or (byte_at(text, position) == _ZERO and end > position + 1):
        return -1
    if kind == STATUS:
        values[field, 0], values[field, 1] = position, end
        return end if end == position + 3 and _ONE <= byte_at(text, position) <= _FIVE else -1
    number = _read_digits(text, position, end)
    values[field, 0] = number
    if kind == COUNT:
        return end if end - position <= _MOST_DIGITS else -1
    values[field, 0] = number * 1000
    is_instant = fields.first_epoch_ms <= number <= fields.last_epoch_ms
    return end if kind == INSTANT and is_instant and end - position <= _MOST_EPOCH_DIGITS else -1


@inlined
def _after_space(text: Bytes, position: int) -> int:
    while byte_at(text, position) <= _SPACE and byte_at(text, position) in (_SPACE, _TAB, _CR):
        position += 1
    return position


@inlined
def _after_null(text: Bytes, position: int) -> int:
    is_null = (
        byte_at(text, position + 1) == _U
        and byte_at(text, position + 2) == _L
        and byte_at(text, position + 3) == _L
    )
    return position + 4 if is_null else -1


@inlined
def _end_of_text(text: Bytes, position: int) -> int:
    """Return where the closing quote is, or -1 if an escape or a byte that is no UTF-8 comes."""
    while True:
        marks = _mark(word_at(text, position))
        while marks == 0:
            position += 8
            marks = _mark(word_at(text, position))
        # The lowest mark, moved to the lowest bit of its byte, shifts the number of that byte up.
        nth = ((marks & -marks) >> _SEVEN) * _NUMBERS >> _TOP
        position += np.int64(nth)  # pyright: ignore[reportAssignmentType] - Numba's int
        byte = byte_at(text, position)
        if byte < 0x80:
            return position if byte == _QUOTE else -1
        length = _character_bytes(text, position)
        if length == 0:
            return -1
        position += length


@inlined
def _mark(word: np.uint64) -> np.uint64:
    """Return the word with a high bit in its first byte that is no plain character of a text.

    Bytes behind that one may be marked though they are plain, since subtractions borrow from them.
    """
    quotes, backslashes = word ^ _QUOTES, word ^ _BACKSLASHES
    plain = ~word
    return (
        (quotes - _ONES & ~quotes)
        | (backslashes - _ONES & ~backslashes)
        | (word - _SPACES & plain)
        | word
    ) & _HIGHS


@inlined
def _character_bytes(text: Bytes, position: int) -> int:
    """Return how many bytes a character beyond ASCII has, 0 if it is no UTF-8 (RFC 3629)."""
    first, second = byte_at(text, position), byte_at(text, position + 1)
    if 0xC2 <= first <= 0xDF:
        return 2 if _is_within(second, 0x80, 0xBF) else 0
    if 0xE0 <= first <= 0xEF:
        lowest = 0xA0 if first == 0xE0 else 0x80
        highest = 0x9F if first == 0xED else 0xBF
        third = byte_at(text, position + 2)
        is_one = _is_within(second, lowest, highest) and _is_within(third, 0x80, 0xBF)
        return 3 if is_one else 0
    if 0xF0 <= first <= 0xF4:
        lowest = 0x90 if first == 0xF0 else 0x80
        highest = 0x8F if first == 0xF4 else 0xBF
        is_one = (
            _is_within(second, lowest, highest)
            and _is_within(byte_at(text, position + 2), 0x80, 0xBF)
            and _is_within(byte_at(text, position + 3), 0x80, 0xBF)
        )
        return 4 if is_one else 0
    return 0


@inlined
def _is_within(byte: int, lowest: int, highest: int) -> bool:
    return lowest <= byte <= highest


@inlined
def _end_of_digits(text: Bytes, position: int) -> int:
    while _is_within(byte_at(text, position), _ZERO, _NINE):
        position += 1
    return position


@inlined
def _read_digits(text: Bytes, start: int, end: int) -> int:
    """Return the number these digits are, -1 if one of them is none; 18 digits at most."""
    number = 0
    for position in range(start, min(end, start + 18)):
        if not _is_within(byte_at(text, position), _ZERO, _NINE):
            return -1
        number = number * 10 + (byte_at(text, position) - _ZERO)
    return number


@inlined
def _read_instant(  # noqa: PLR0911 - a way out for each part that can be wrong
    text: Bytes, start: int, end: int
) -> int:
    """Return an RFC 3339 text as microseconds since 1970 in UTC, or `_NO_INSTANT`.

    Digits beyond microseconds are cut. Leap seconds and far years are left to the exact way.
    """
    if end - start < len("2026-01-01T00:00:00Z") or not _has_marks(text, start):
        return _NO_INSTANT
    year, month = _read_digits(text, start, start + 4), _read_digits(text, start + 5, start + 7)
    day, hour = (
        _read_digits(text, start + 8, start + 10),
        _read_digits(text, start + 11, start + 13),
    )
    minute = _read_digits(text, start + 14, start + 16)
    second = _read_digits(text, start + 17, start + 19)
    if not (_is_within(year, _FIRST_YEAR, _LAST_YEAR) and _is_within(month, 1, 12)):
        return _NO_INSTANT
    if not (_is_within(day, 1, _days_in_month(year, month)) and _is_within(hour, 0, 23)):
        return _NO_INSTANT
    if not (_is_within(minute, 0, 59) and _is_within(second, 0, 59)):
        return _NO_INSTANT
    zone = start + 19
    fraction = 0
    if byte_at(text, zone) == _DOT:
        zone = _end_of_digits(text, zone + 1)
        digits = zone - start - 20
        if not _is_within(digits, 1, _MOST_FRACTION_DIGITS):
            return _NO_INSTANT
        fraction = _read_digits(text, start + 20, zone) * 10 ** (9 - digits) // 1000
    offset = _read_offset(text, zone, end)
    if offset == _NO_INSTANT:
        return _NO_INSTANT
    minutes = (_days_since_1970(year, month, day) * 24 + hour) * 60 + minute - offset
    return (minutes * 60 + second) * 1_000_000 + fraction


@inlined
def _has_marks(text: Bytes, start: int) -> bool:
    return (
        byte_at(text, start + 4) == _DASH
        and byte_at(text, start + 7) == _DASH
        and byte_at(text, start + 10) == _T
        and byte_at(text, start + 13) == _COLON
        and byte_at(text, start + 16) == _COLON
    )


@inlined
def _read_offset(text: Bytes, zone: int, end: int) -> int:
    """Return the minutes local time is ahead of UTC, or `_NO_INSTANT` if nothing says it."""
    if byte_at(text, zone) == _Z and zone + 1 == end:
        return 0
    is_signed = byte_at(text, zone) == _PLUS or byte_at(text, zone) == _DASH
    if not is_signed or zone + 6 != end or byte_at(text, zone + 3) != _COLON:
        return _NO_INSTANT
    hours, minutes = _read_digits(text, zone + 1, zone + 3), _read_digits(text, zone + 4, zone + 6)
    if not (_is_within(hours, 0, 23) and _is_within(minutes, 0, 59)):
        return _NO_INSTANT
    ahead = hours * 60 + minutes
    return -ahead if byte_at(text, zone) == _DASH else ahead


@inlined
def _days_in_month(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


@inlined
def _days_since_1970(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01, counting years from March so that leap days come last."""
    years = year - 1 if month <= 2 else year
    months = month + 9 if month <= 2 else month - 3
    leap_days = years // 4 - years // 100 + years // 400
    return years * 365 + leap_days + (153 * months + 2) // 5 + day - 719_469


@inlined
def _copy(text: Bytes, start: int, stop: int, joined: Bytes, end: int) -> int:
    """Append a text and a line feed to others, and return where they end.

    By whole words: what the last one brings too much is written over next, or is behind the end.
    """
    for position in range(start, stop, _WORD_BYTES):
        put_word(joined, end + position - start, word_at(text, position))
    end += stop - start
    joined[end] = _LF
    return end + 1


@inlined
def _find_code(text: Bytes, start: int, stop: int, slot: int, found: Found) -> int:
    """Return the code of a dimension's text: the same for the same bytes, in order of first use."""
    spans, table = found.spans[slot], found.tables[slot]
    mask = np.uint64(len(table) - 1)
    place = _hash(text, start, stop) & mask
    while table[place]:
        code = table[place]
        if _is_same(found.kept, spans[code, 0], spans[code, 1], text, start, stop):
            return code
        place = (place + np.uint64(1)) & mask
    found.texts[slot, COUNTED] += 1
    found.texts[slot, BYTES] += stop - start + 1
    code = found.texts[slot, COUNTED]
    known = found.kept_end[0]
    found.kept_end[0] = _copy(text, start, stop, found.kept, known)
    table[place], spans[code, 0], spans[code, 1] = code, known, known + stop - start
    return code


@inlined
def _hash(text: Bytes, start: int, stop: int) -> np.uint64:
    hashed = np.uint64(stop - start)
    while stop - start >= 8:
        hashed = (hashed ^ word_at(text, start)) * _HASH_FACTOR
        hashed ^= hashed >> _HALF
        start += 8
    if start < stop:
        hashed = (hashed ^ (word_at(text, start) & _first_bytes(stop - start))) * _HASH_FACTOR
    return hashed ^ hashed >> _HALF


@inlined
def _is_same(kept: Bytes, known: int, known_stop: int, text: Bytes, start: int, stop: int) -> bool:
    if known_stop - known != stop - start:
        return False
    while stop - start >= 8:
        if word_at(kept, known) != word_at(text, start):
            return False
        known += 8
        start += 8
    if start == stop:
        return True
    unlike = word_at(kept, known) ^ word_at(text, start)
    return not unlike & _first_bytes(stop - start)
