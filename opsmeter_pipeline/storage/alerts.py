"""The deliveries: claims a message before it is sent, and writes down what became of it.

A claim is a committed row, so one process at a time sends a message. It has an end, so that a
process that dies does not take the message with it. Nobody can know then whether the sink got it:
it is sent once more under the same message id, and the row and the timeline say so (ADR 0023).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
import polars as pl

from opsmeter_pipeline.alerts import Entry
from opsmeter_pipeline.storage.incidents import add_entry
from opsmeter_pipeline.storage.lake import Lake, fetch
from opsmeter_pipeline.storage.sinks import Letter, Sink, send

CLAIM = timedelta(seconds=120)
"""How long a claim lasts: several times what a sink may take."""
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=10)
DIGEST = "digest"
"""Kind of a message that is about no incident: what `storage.digest` puts into the outbox."""
GIVE_UP_AFTER = timedelta(hours=24)
"""A message that failed and is older than this is given up; what it tells is history."""
_OLDER_WAITS = """
    EXISTS (SELECT 1 FROM alerts o WHERE (o.incident_id, o.sink) = (a.incident_id, a.sink)
        AND o.decided_at < a.decided_at AND o.state IN ('waiting', 'claimed'))
"""
_NEXT = f"""
    SELECT * FROM alerts a WHERE sink IN (SELECT unnest($1::VARCHAR[]))
        AND (state = 'waiting' AND due_at <= $2 OR state = 'claimed' AND claimed_until <= $2)
        AND NOT {_OLDER_WAITS}
    ORDER BY decided_at, message_id, sink LIMIT 1
"""
_CLAIM = """
    UPDATE alerts SET state = 'claimed', attempts = attempts + 1, claimed_by = ?, claimed_until = ?,
        unknown_attempts = unknown_attempts + ? WHERE message_id = ? AND sink = ?
"""
_SENT = """
    UPDATE alerts SET state = 'sent', sent_at = ?, error = NULL
    WHERE message_id = ? AND sink = ? AND state <> 'sent'
"""
_FAILED = """
    UPDATE alerts SET state = 'waiting', due_at = ?, error = ?
    WHERE message_id = ? AND sink = ? AND state = 'claimed' AND attempts = ?
"""
_GIVEN_UP = """
    SELECT * FROM alerts WHERE decided_at <= $1 AND (
        state = 'waiting' AND (attempts > 0 OR sink NOT IN (SELECT unnest($3::VARCHAR[])))
        OR state = 'claimed' AND claimed_until <= $2
    ) ORDER BY decided_at, message_id, sink
"""
_STUCK = f"""
    SELECT DISTINCT ON (message_id) message_id, incident_id, kind, severity, subject, body,
        decided_at
    FROM alerts a
    WHERE kind <> '{DIGEST}' AND decided_at <= $1
        AND sink NOT IN (SELECT unnest($2::VARCHAR[]))
        AND (state IN ('waiting', 'claimed') OR state = 'given_up' AND incident_id IN
            (SELECT incident_id FROM incidents WHERE state <> 'resolved'))
        AND NOT EXISTS (SELECT 1 FROM alerts o WHERE o.message_id = a.message_id
            AND (o.state = 'sent' OR o.sink IN (SELECT unnest($2::VARCHAR[]))))
    ORDER BY message_id
"""
"""Messages that nobody got, and that only sinks wait for which are not set any more."""
_ADDRESS = """
    INSERT INTO alerts (message_id, incident_id, kind, severity, subject, body, decided_at, sink,
        state, attempts, unknown_attempts, due_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'waiting', 0, 0, ?)
"""


@dataclass(frozen=True)
class Claim:
    """A message that this process, and no other, is about to send to one sink.

    Attributes:
        letter: the message.
        sink: the sink's name.
        attempt: its how manieth try this is, from 1.
        is_repeat: a try before has an outcome nobody knows.
    """

    letter: Letter
    sink: str
    attempt: int
    is_repeat: bool


@dataclass(frozen=True)
class Delivery:
    """What became of one try.

    Attributes:
        claim: what was tried.
        error: why the sink did not take it; None if it did.
    """

    claim: Claim
    error: str | None


def deliver(
    lake: Lake, sinks: Sequence[Sink], *, holder: str, clock: Callable[[], datetime],
    until: datetime,
) -> list[Delivery]:  # fmt: skip
    """Send what is due, one message after the other, and return what became of each.

    Args:
        lake: the warehouse.
        sinks: who can be told.
        holder: names this process in its claims.
        clock: tells the time (UTC): sending takes some.
        until: nothing is begun after this instant; the next tick goes on.
    """
    by_name = {one.name: one for one in sinks}
    done: list[Delivery] = []
    address_anew(lake, [*by_name], now=clock())
    while clock() < until:
        claim = claim_next(lake, [*by_name], holder=holder, now=clock())
        if claim is None:
            break
        delivery = Delivery(claim, send(by_name[claim.sink], claim.letter))
        record_delivery(lake, delivery, now=clock())
        done.append(delivery)
    give_up(lake, sinks=[*by_name], now=clock())
    return done


def claim_next(lake: Lake, sinks: Sequence[str], *, holder: str, now: datetime) -> Claim | None:
    """Claim the oldest message that is due, and return it, or None if nothing is.

    Of one incident a sink gets the messages in their order: one that waits holds back those after.
    """
    asked = [[*sinks], now]
    if lake.read(_NEXT, asked).is_empty():
        return None
    claimed: list[Claim | None] = []

    def write(con: duckdb.DuckDBPyConnection) -> None:
        row = next(fetch(con, _NEXT, asked).iter_rows(named=True), None)
        claimed.append(_to_claim(row) if row else None)
        if row:
            _take(con, row, holder=holder, now=now)

    lake.transact(write)
    return claimed[-1]


def record_delivery(lake: Lake, delivery: Delivery, *, now: datetime) -> None:
    """Write down what became of a try; one that failed is tried again, later each time.

    Raises:
        WarehouseBusyError: the catalogue stayed locked. The claim ends, and it is sent again.
    """
    claim, where = delivery.claim, [delivery.claim.letter.message_id, delivery.claim.sink]

    def write(con: duckdb.DuckDBPyConnection) -> None:
        if delivery.error is None:
            con.execute(_SENT, [now, *where])
            _note(con, claim, "alert_sent", now, f"{claim.letter.kind} to {claim.sink}")
            return
        con.execute(_FAILED, [now + _pause(claim.attempt), delivery.error, *where, claim.attempt])
        if claim.attempt == 1:  # the row counts the others
            text = f"{claim.letter.kind} to {claim.sink}, tried again: {delivery.error}"
            _note(con, claim, "alert_failed", now, text)

    lake.transact(write)


def address_anew(lake: Lake, sinks: Sequence[str], *, now: datetime) -> int:
    """Give the sinks what nobody got because the sinks it was for are not set any more.

    After `CLAIM`, so that a process which has those sinks comes first. Their rows stay as they are.

    Returns:
        How many messages were added.
    """
    asked = [now - CLAIM, [*sinks]]
    if not sinks or lake.read(_STUCK, asked).is_empty():
        return 0
    added: list[int] = []

    def write(con: duckdb.DuckDBPyConnection) -> None:
        stuck = fetch(con, _STUCK, asked).rows()
        for message in stuck:
            for sink in sinks:
                con.execute(_ADDRESS, [*message, sink, now])
        added.append(len(stuck) * len(sinks))

    lake.transact(write)
    return added[-1]


def give_up(lake: Lake, *, sinks: Sequence[str], now: datetime) -> list[Claim]:
    """Give up messages that have failed for a day, or that no sink of these waits for by then."""
    asked = [now - GIVE_UP_AFTER, now, [*sinks]]
    if lake.read(_GIVEN_UP, asked).is_empty():
        return []
    given: list[list[Claim]] = []

    def write(con: duckdb.DuckDBPyConnection) -> None:
        claims = [_to_claim(row) for row in fetch(con, _GIVEN_UP, asked).iter_rows(named=True)]
        given.append(claims)
        for claim in claims:
            con.execute(
                "UPDATE alerts SET state = 'given_up' WHERE message_id = ? AND sink = ?",
                [claim.letter.message_id, claim.sink],
            )
            text = f"{claim.letter.kind} to {claim.sink}, after {claim.attempt - 1} tries"
            _note(con, claim, "alert_given_up", now, text)

    lake.transact(write)
    return given[-1]


def read_undelivered(lake: Lake) -> pl.DataFrame:
    """Return the messages that no sink has yet, the oldest first; given up ones are not among."""
    return lake.read("""
        SELECT message_id, sink, incident_id, kind, state, attempts, unknown_attempts, decided_at,
            due_at, error
        FROM alerts WHERE state IN ('waiting', 'claimed') ORDER BY decided_at, message_id, sink
    """)


def read_alerts(lake: Lake, incident_id: str) -> pl.DataFrame:
    """Return the messages of an incident, in the order in which they were decided."""
    sql = "SELECT * FROM alerts WHERE incident_id = ? ORDER BY decided_at, message_id, sink"
    return lake.read(sql, [incident_id])


def _take(
    con: duckdb.DuckDBPyConnection, row: dict[str, object], *, holder: str, now: datetime
) -> None:
    is_unknown = row["state"] == "claimed"
    con.execute(_CLAIM, [holder, now + CLAIM, int(is_unknown), row["message_id"], row["sink"]])
    if is_unknown:
        text = (
            f"{row['kind']} to {row['sink']}: {row['claimed_by']} ended before it wrote down "
            f"whether it arrived; sent again under the same message id"
        )
        _note(con, _to_claim(row), "alert_unknown", now, text)


def _note(
    con: duckdb.DuckDBPyConnection, claim: Claim, kind: str, now: datetime, detail: str
) -> None:
    if claim.letter.kind == DIGEST:
        return  # it is about no incident, and its row in `alerts` says what became of it
    add_entry(con, Entry(claim.letter.incident_id, kind, now, detail))


def _to_claim(row: dict[str, object]) -> Claim:
    told = {name: str(row[name]) for name in Letter.__annotations__}
    is_repeat = row["state"] == "claimed" or row["unknown_attempts"] != 0
    if is_repeat:
        told["body"] += "\nThis may be a second copy: whether the first arrived is unknown."
    return Claim(Letter(**told), str(row["sink"]), int(str(row["attempts"])) + 1, is_repeat)


def _pause(attempt: int) -> timedelta:
    """Return how long to wait after a failed try: twice as long each time, up to a limit."""
    return min(FIRST_PAUSE * 2 ** min(attempt - 1, 10), LONGEST_PAUSE)
