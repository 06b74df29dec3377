"""Everything that stops the pipeline, one class per failure, each naming culprit and remedy.

A bad line is never an error: it is quarantined. Add a class here when a run, a command or a
setting cannot go on; its `__init__` takes the culprits as data and builds the text.
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path


class OpsmeterError(Exception):
    """The root of all errors this project raises on purpose."""


class UsageError(OpsmeterError):
    """What was asked for cannot be done as asked; the text says how to ask."""


class LandingMissingError(UsageError):
    """The landing folder does not exist."""

    def __init__(self, landing: str) -> None:
        """Name the folder that is missing."""
        super().__init__(
            f"The landing {landing!r} is no folder. Create it, or point to another one with "
            f"--landing or OPSMETER_LANDING."
        )


class OtherLandingError(UsageError):
    """A home was filled from another landing."""

    def __init__(self, claim: Path, *, known: str, asked: str) -> None:
        """Name the home, both landings, and the file that says to which one it belongs."""
        super().__init__(
            f"The home {str(claim.parent)!r} belongs to the landing {known!r}; files are known by "
            f"their path in it. Use another --home for {asked!r}, or, if it is the same landing "
            f"in a new place, write that into {str(claim)!r}."
        )


class LandingAddressError(UsageError):
    """The landing's address is of a kind that is not installed."""

    def __init__(self, landing: str, why: str) -> None:
        """Name the address and what is missing."""
        super().__init__(f"The landing {landing!r} cannot be opened: {why}.")


class DemoLandingError(UsageError):
    """The demo was asked to write its day to an address."""

    def __init__(self, landing: str) -> None:
        """Name the address."""
        super().__init__(
            f"The demo writes files into its landing, and {landing!r} is no folder. Unset "
            f"OPSMETER_LANDING and `landing` in opsmeter.toml, and use a --home of its own."
        )


class SettingsError(UsageError):
    """A setting or `opsmeter.toml` cannot be used."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        """Name the source of the setting and what is wrong with each."""
        super().__init__(f"Bad setting in {source}: {'; '.join(problems)}")


class NoBudgetError(UsageError):
    """No budget is set."""

    def __init__(self) -> None:
        """Say where budgets are set."""
        super().__init__(
            "No budget is set. Add one to opsmeter.toml in the working folder: [[budget]], "
            'name = "all", limit_usd = 1000, period = "monthly"; see docs/budgets.md.'
        )


class IncidentMissingError(UsageError):
    """There is no incident of that id."""

    def __init__(self, incident_id: str) -> None:
        """Name the id and where ids stand."""
        super().__init__(
            f"There is no incident {incident_id!r}; `opsmeter incident list` has them."
        )


class NoSinkError(UsageError):
    """Nobody can be told."""

    def __init__(self) -> None:
        """Say where addresses are set."""
        super().__init__(
            "No sink is configured. Set OPSMETER_ALERT_URLS, or alert_urls in opsmeter.toml, to "
            "addresses that apprise understands, such as jsons://hooks.example.org/llm."
        )


class HashKeyError(UsageError):
    """Identifiers are to be hashed without a usable key."""

    def __init__(self, found_bytes: int, needed_bytes: int) -> None:
        """Say how long the key is, never what it is."""
        found = f"has {found_bytes} bytes" if found_bytes else "is not set"
        super().__init__(
            f"OPSMETER_IDENTIFIERS is hash, and OPSMETER_HASH_KEY {found}; it needs at least "
            f"{needed_bytes}. Set it to a secret you keep, such as the output of `openssl rand "
            f"-hex 32`, or set OPSMETER_IDENTIFIERS=refuse to quarantine raw identifiers."
        )


class UnknownZoneError(UsageError):
    """There is no such time zone."""

    def __init__(self, zone: str, near: Sequence[str]) -> None:
        """Name the zone and those that are spelled alike."""
        meant = f"Did you mean {', '.join(near)}?" if near else "Such a name is Asia/Kolkata."
        super().__init__(f"There is no time zone {zone!r} in the IANA database. {meant}")


class BadDayError(UsageError):
    """A day is none."""

    def __init__(self, text: str) -> None:
        """Name what was given."""
        super().__init__(f"{text!r} is no day. Write it as 2026-11-23.")


class DayRangeError(UsageError):
    """A range of days cannot be read."""

    def __init__(self, first: date, last: date, max_days: int) -> None:
        """Name the range and what a range may be."""
        super().__init__(
            f"{first} to {last} cannot be read: a range ends on or after the day it begins, lies "
            f"in 1900 to 9998 and has at most {max_days} days. Ask for it in parts."
        )


class PortError(UsageError):
    """The port of the UI or of the page cannot be listened on."""

    def __init__(self, host: str, port: int, *, why: str, options: str) -> None:
        """Name the port, what is in the way and how to choose another one."""
        super().__init__(
            f"Port {port} on {host} {why}. Stop that, or choose another port with {options}."
        )


class UpRunningError(UsageError):
    """Another `opsmeter up` serves the home."""

    def __init__(self, home: Path, pid: str) -> None:
        """Name the home and the process."""
        super().__init__(
            f"`opsmeter up` is running on the home {str(home)!r} already, as process {pid}. Stop "
            f"that first: two daemons on one home get in each other's way."
        )


class LengthError(UsageError):
    """A length of time cannot be used."""

    def __init__(self, option: str, asked: str, why: str) -> None:
        """Name the option, what it was given and why that cannot be."""
        super().__init__(f"{option} {asked!r}: {why}. Write it as 30s, 5m, 24h, 7d or 2w.")


class OutputError(UsageError):
    """What was asked for cannot be written there."""

    def __init__(self, option: str, target: str, why: str) -> None:
        """Name the option, its target and what is in the way."""
        super().__init__(f"{option} {target} cannot be written: {why}.")


class PauseError(UsageError):
    """Views cannot be paused or resumed."""

    def __init__(self, file: Path, why: str) -> None:
        """Name the file that says it and what is in the way."""
        super().__init__(f"Nothing was changed in {str(file)!r}: {why}.")


class GateReasonError(UsageError):
    """A reason was to be waived that the gate does not ask for."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        """Name it and those there are."""
        super().__init__(f"The gate has no reason {name!r}. Waive one of {', '.join(known)}.")


class InstanceMissingError(UsageError):
    """A home has no Dagster instance."""

    def __init__(self, home: Path) -> None:
        """Name the home."""
        super().__init__(
            f"There is no Dagster instance in {str(home)!r} yet, so nothing is known of runs, "
            f"sensors and daemons. Run `opsmeter run` or `opsmeter up` first."
        )


class WarehouseMissingError(UsageError):
    """A reader asked for a warehouse that nobody has filled yet."""

    def __init__(self, home: Path) -> None:
        """Name the home folder that holds no warehouse."""
        super().__init__(
            f"There is no warehouse in {str(home)!r} yet. Run `opsmeter run` or `opsmeter demo` "
            f"first, or point to another home with --home or OPSMETER_HOME."
        )


class WarehouseOutdatedError(UsageError):
    """A warehouse was created before its tables had all the columns of today."""

    def __init__(self, home: Path, table: str, columns: Sequence[str]) -> None:
        """Name the home, the table and the columns it lacks."""
        super().__init__(
            f"The warehouse in {str(home)!r} was created by an older version: its table {table} "
            f"lacks {', '.join(columns)}. Take the same landing into a new home: `opsmeter --home "
            f"NEW run --landing ...`; the landing still holds every line."
        )


class QueryError(UsageError):
    """The warehouse refused a query."""


class QualityMissingError(UsageError):
    """The extra that judges published tables is not installed."""

    def __init__(self) -> None:
        """Name the extra and how to get it."""
        super().__init__(
            "Nothing was judged: Great Expectations is not installed. Install it with "
            "pip install 'opsmeter-pipeline[quality]' and run the job `quality` again."
        )


class UnknownRuleError(UsageError):
    """A rule was named that neither the contract nor the quarantine knows."""

    def __init__(self, rule: str, near: Sequence[str]) -> None:
        """Name the rule and the ones it may have been meant to be."""
        super().__init__(f"There is no rule {rule!r}. Is it one of {', '.join(near)}?")


class UnknownFileError(UsageError):
    """A file was named of which nothing has been taken."""

    def __init__(self, file: str, near: Sequence[str]) -> None:
        """Name the file and the ones it may have been meant to be."""
        asked = f"Is it {' or '.join(map(repr, near))}? " if near else ""
        super().__init__(
            f"Nothing was taken of a file {file!r}. {asked}Files are named by their path in the "
            f'landing: opsmeter query "SELECT DISTINCT file FROM ingest_files".'
        )


class ReplayChoiceError(UsageError):
    """A replay was asked for without saying of what, or with a contradiction."""

    def __init__(self) -> None:
        """Say which options there are."""
        super().__init__(
            "Say which quarantined lines to replay: --rule RULE, --file FILE, both, or --all."
        )


class WindowError(UsageError):
    """Two windows cannot be compared as asked."""

    def __init__(self, option: str, asked: str, why: str) -> None:
        """Name the option, what it was given and why that cannot be."""
        super().__init__(
            f"{option} {asked}: {why}. Ask for whole UTC hours, as in --from 2026-11-22T00:00:00Z "
            f"--to 2026-11-23T00:00:00Z, or for --window 7d, 24h or 2w; up to the last full hour."
        )


class WeekError(UsageError):
    """There is no digest of the week that was asked for."""

    def __init__(self, asked: str, why: str) -> None:
        """Name what was asked for and why that cannot be."""
        super().__init__(f"--week {asked}: {why}. Name the first of 7 full UTC days.")


class DimensionError(UsageError):
    """A cost change cannot be told by what was named."""

    def __init__(self, named: str, known: Sequence[str]) -> None:
        """Name it and what there is."""
        super().__init__(f"There is no dimension {named!r}. Name some of {', '.join(known)}.")


class SumsDifferError(OpsmeterError):
    """The parts of a cost change by a dimension do not sum up to it."""

    def __init__(self, dimension: str, *, expected: object, found: object) -> None:
        """Name the dimension and both sums."""
        super().__init__(
            f"The parts by {dimension} sum up to {found} USD, the change is {expected} USD: the "
            f"cubes disagree. Run the job `quality`, and replay the ingest days of the batches it "
            f"names."
        )


class SliceChangedError(OpsmeterError):
    """A file changed between the moment it was planned and the moment it was read."""

    def __init__(self, file: str, why: str) -> None:
        """Name the file and what differs."""
        super().__init__(
            f"Landed file {file!r} changed while it was read: {why}. Nothing of it was published; "
            f"restore it or land the new content under a new name, then run again."
        )


class JudgingError(OpsmeterError):
    """A library failed while it judged lines; what it said is left out, for it may quote them."""

    def __init__(self, chunk: int, files: Sequence[str], why: str) -> None:
        """Name the chunk, the files its lines are from and the kind of failure."""
        named = ", ".join(map(repr, files[:3])) + (" and others" if len(files) > 3 else "")
        super().__init__(
            f"Lines of {named} could not be judged: {why} in chunk {chunk}. Nothing of them was "
            f"published. Move these files out of the landing, run again, and report them."
        )


class AlreadyTakenError(OpsmeterError):
    """Another publisher has published the same lines in the meantime."""

    def __init__(self, files: Sequence[str]) -> None:
        """Name the files whose slices are in the ledger already."""
        named = ", ".join(map(repr, sorted(files)[:3])) + (" and others" if len(files) > 3 else "")
        super().__init__(
            f"Lines of {named} were published by another run in the "
            f"meantime. Nothing was written twice; run again to take what is still new."
        )


class OvertakenError(OpsmeterError):
    """Another publisher has changed what the run's lines were judged against."""

    def __init__(self, batch_ids: Sequence[str]) -> None:
        """Name the batches that are not what they were."""
        named = ", ".join(sorted(batch_ids)[:3]) + (" and others" if len(batch_ids) > 3 else "")
        super().__init__(
            f"Another run published or replayed {named} in the meantime, with events of the same "
            f"ids. Nothing was written; run again to judge against what is published now."
        )


class WarehouseBusyError(OpsmeterError):
    """The warehouse stayed locked for as long as we may wait."""

    def __init__(self, tries: int) -> None:
        """Say how often it was tried."""
        super().__init__(
            f"The warehouse was busy in {tries} tries to write. Nothing was written. Another "
            f"process holds its catalogue: stop it or run again."
        )


class UnpackLimitError(OpsmeterError):
    """A compressed file holds more text than may be unpacked."""

    def __init__(self, limit_bytes: int) -> None:
        """Name the limit and its setting."""
        super().__init__(
            f"read up to the limit of {limit_bytes:,} unpacked bytes. Land it in parts, or raise "
            f"OPSMETER_UNPACKED_BYTES and replay its day."
        )


class DiskFullError(OpsmeterError):
    """The disk of the home has no room left."""

    def __init__(self, home: Path, free_bytes: int) -> None:
        """Name the home and what is left of its disk."""
        super().__init__(
            f"The disk of {home} is full ({free_bytes:,} bytes left). Nothing of the batch under "
            f"way was published and nothing is lost: make room and run again."
        )


class DagsterEndedError(OpsmeterError):
    """Dagster ended although nobody had stopped it."""

    def __init__(self, code: int) -> None:
        """Name its exit code."""
        super().__init__(
            f"Dagster ended by itself, with exit code {code}. What it said stands above; what was "
            f"published stays. Mend the cause and run `opsmeter up` again."
        )


class RunFailedError(OpsmeterError):
    """A run of the job failed."""

    def __init__(self, run_id: str, step: str, why: str) -> None:
        """Name the run, the step and what it said."""
        super().__init__(
            f"Run {run_id} failed in {step}: {why} Nothing of its batch was published; mend the "
            f"cause and run again. Its log stands in the Dagster UI (`opsmeter up`)."
        )
