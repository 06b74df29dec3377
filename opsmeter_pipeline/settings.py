"""Everything a user can set, typed, from `OPSMETER_*` variables and `opsmeter.toml`.

Add a setting here with its unit in the name and a default that works. Precedence: command-line
option, environment variable, `opsmeter.toml` in the working folder, default.
"""

import os
import tomllib
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from opsmeter_pipeline.model.budget import Budget, refuse_namesakes
from opsmeter_pipeline.model.errors import (
    HashKeyError,
    LandingMissingError,
    OtherLandingError,
    SettingsError,
)
from opsmeter_pipeline.model.identifiers import MIN_KEY_BYTES, REFUSE, IdentifierPolicy
from opsmeter_pipeline.model.objective import Slo

_SOURCES = "an option, OPSMETER_* or opsmeter.toml"
TOML_FILE = Path("opsmeter.toml")
CLAIM = "landing.txt"
"""File of a home that names its landing."""


class _ExactToml(TomlConfigSettingsSource):
    """`opsmeter.toml`, in which 0.1 is a tenth and no float beside it."""

    def _read_file(self, file_path: Any) -> dict[str, Any]:  # noqa: ANN401 - as the class above
        with file_path.open(mode="rb") as file:
            return tomllib.load(file, parse_float=Decimal)


class Maintenance(BaseModel):
    """One `[[maintenance]]` of `opsmeter.toml`: an announced time in which nothing is sent.

    Attributes:
        from_at: its first instant, with an offset; `from` in the file.
        to_at: the first instant after it; `to` in the file.
        reason: why; stands in the timeline.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    from_at: AwareDatetime = Field(alias="from")
    to_at: AwareDatetime = Field(alias="to")
    reason: str = Field(min_length=1)

    @model_validator(mode="after")
    def _require_length(self) -> "Maintenance":
        if self.from_at >= self.to_at:
            msg = "`from` must be before `to`"
            raise ValueError(msg)
        return self


class Drift(BaseModel):
    """`[drift]` of `opsmeter.toml`: from which confident regression on somebody is told.

    Attributes:
        cost_change: growth of the cost of a request, as a share.
        output_change: growth of the mean of output tokens, likewise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cost_change: float = Field(default=0.15, gt=0, le=10)
    output_change: float = Field(default=0.20, gt=0, le=10)


class Settings(BaseSettings):
    """The settings of one home.

    Attributes:
        home: folder that holds everything the pipeline keeps; see the properties.
        landing: folder or fsspec address where producers put files; `landing/` in the home
            if not set.
        batch_bytes: how much stored text one batch takes at most; compressed files count eightfold.
            A run's memory follows it: 2.3 GB of lines took 1.9 (benchmarks/job).
            A file that can only be taken whole and is above half of it may come on top (ADR 0025).
        chunk_bytes: how much text is in memory at once per worker; bounds the run's memory.
        unpacked_bytes: how much text one compressed file may hold; more is not unpacked.
        settle_seconds: how long a last line without a line feed may stay unfinished before it
            is taken as it is.
        lateness_allowance_seconds: how long after an hour its events may still land before its
            totals are final. A day: files of the day before and answers of batch tiers, which
            providers promise within 24 hours, land in it.
        port: where `opsmeter up` serves the Dagster UI, on loopback.
        dashboard_port: where `opsmeter up` and `opsmeter dashboard` serve the page.
        dashboard_token: the secret that each request to the page must bear, never shown; needed
            to serve it on anything but loopback.
        identifiers: what is done with a line whose `tenantId` or `userId` its sender did not hash:
            `refuse` quarantines it, `hash` hashes the identifier with `hash_key`.
        hash_key: the secret of that hash, never shown; another key makes other hashes.
        prices: your own price file, which must exist; `prices.toml` in the home if not set.
        slo: what freshness is promised, `[slo]` and `[[slo.override]]` in `opsmeter.toml`.
        alert_urls: who is told of incidents: addresses as apprise understands them, which hold
            secrets and are never shown; in the environment with blanks between them.
        alert_cooldown_seconds: how long what was wrong must be gone before its incident is over;
            what comes back within it is the same incident.
        alerting_seconds: how often it is looked for what is wrong; read when Dagster is started.
        stale_seconds: how long a landed file may wait before that is an incident; three times as
            long is critical.
        probe: whether the schedule sends probes; off where no page is served on this machine.
        probe_lost_seconds: how long a probe may take until the page shows it; then it is lost.
        retry_seconds: how long after a failed run the landing is left alone, so that a broken run
            does not repeat every tick.
        heartbeat_url: http or https address that is called after each good tick of the alerts.
        dagster_url: where a reader of an alert finds the Dagster UI; loopback if not set.
        page_url: likewise the page; no link if not set.
        drift: from which regression of a prompt version on somebody is told, `[drift]`.
        maintenance: windows in which conditions are recorded and nothing is sent.
        snapshot_days: how long a state of the warehouse can be read again with `AT`; what
            `restatements` names stays for good.
        budget: what may be spent, `[[budget]]` in `opsmeter.toml`.
        spike_min_events: attempts in an hour or day, and requests more than usual, below which
            nothing is a spike.
        spike_min_usd: dollars more than usual below which nothing is a spike.
    """

    model_config = SettingsConfigDict(
        env_prefix="OPSMETER_", toml_file=TOML_FILE, extra="forbid", frozen=True,
        hide_input_in_errors=True,  # it may be the key
    )  # fmt: skip

    home: Path = Path(".opsmeter")
    landing: str | None = None
    batch_bytes: int = Field(default=2304 * 1024**2, gt=0)
    chunk_bytes: int = Field(default=96 * 1024**2, ge=1024)
    unpacked_bytes: int = Field(default=16 * 1024**3, gt=0)
    settle_seconds: int = Field(default=300, ge=0)
    lateness_allowance_seconds: int = Field(default=24 * 3600, ge=0, le=366 * 24 * 3600)
    port: int = Field(default=3000, gt=0, lt=65536)
    dashboard_port: int = Field(default=3001, gt=0, lt=65536)
    dashboard_token: SecretStr | None = None
    identifiers: Literal["refuse", "hash"] = "refuse"
    hash_key: SecretStr | None = None
    prices: Path | None = None
    slo: Slo = Slo()
    alert_urls: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    alert_cooldown_seconds: int = Field(default=300, ge=0, le=7 * 24 * 3600)
    alerting_seconds: int = Field(default=30, ge=5, le=60)
    stale_seconds: int = Field(default=300, gt=0)
    probe: bool = True
    probe_lost_seconds: int = Field(default=900, gt=0, le=24 * 3600)
    retry_seconds: int = Field(default=60, gt=0)
    heartbeat_url: SecretStr | None = None
    dagster_url: str | None = None
    page_url: str | None = None
    drift: Drift = Drift()
    maintenance: tuple[Maintenance, ...] = ()
    snapshot_days: int = Field(default=7, ge=1, le=3660)
    budget: Annotated[tuple[Budget, ...], AfterValidator(refuse_namesakes)] = ()
    spike_min_events: int = Field(default=50, ge=1)
    spike_min_usd: Decimal = Field(default=Decimal(1), ge=0, allow_inf_nan=False)

    @field_validator("alert_urls", mode="before")
    @classmethod
    def _split_urls(cls, value: object) -> object:
        return value.split() if isinstance(value, str) else value

    @field_validator("alert_urls")
    @classmethod
    def _require_addresses(cls, urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for number, url in enumerate(urls, start=1):
            if "://" not in url.get_secret_value():
                msg = f"address {number} has no kind, such as mailto:// or jsons://"
                raise ValueError(msg)
        return urls

    @field_validator("heartbeat_url")
    @classmethod
    def _require_http(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not url.get_secret_value().startswith(("http://", "https://")):
            msg = "it must start with http:// or https://"
            raise ValueError(msg)
        return url

    @property
    def landing_root(self) -> str:
        """Where producers put telemetry files."""
        return self.landing or str(self.home / "landing")

    @property
    def staging(self) -> Path:
        """Where runs hand rows on; emptied when a run is done."""
        return self.home / "staging"

    @property
    def warehouse(self) -> Path:
        """The DuckLake: its catalogue and its Parquet files."""
        return self.home / "warehouse"

    @property
    def prices_file(self) -> Path:
        """The user's own prices; there need not be any."""
        return self.prices or self.home / "prices.toml"

    @property
    def looks(self) -> Path:
        """The newest looks at the landing, by which a growing backlog is known."""
        return self.home / "alerts" / "looks.json"

    @property
    def judged(self) -> Path:
        """When the alerts judged last, and which rules they could not."""
        return self.home / "alerts" / "judged.json"

    @property
    def pause_file(self) -> Path:
        """Says that views which can wait are paused, and why; not there if nothing is."""
        return self.home / "paused.json"

    @property
    def snapshots_kept_for(self) -> timedelta:
        """How old a snapshot of the warehouse may grow."""
        return timedelta(days=self.snapshot_days)

    @property
    def digests(self) -> Path:
        """The weekly digests, a Markdown and an HTML file each."""
        return self.home / "digests"

    @property
    def ui_url(self) -> str:
        """Where a reader of an alert finds the Dagster UI."""
        return self.dagster_url or f"http://127.0.0.1:{self.port}"

    @property
    def data_docs(self) -> Path:
        """The site that shows how the published tables keep their promises."""
        return self.home / "quality" / "data_docs"

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME: runs, ticks and logs."""
        return self.home / "dagster"

    @property
    def identifier_policy(self) -> IdentifierPolicy:
        """What the contract does with raw identifiers.

        Raises:
            HashKeyError: they are to be hashed, and there is no key or too short a one.
        """
        if self.identifiers == "refuse":
            return REFUSE
        key = self.hash_key.get_secret_value().encode() if self.hash_key else b""
        if len(key) < MIN_KEY_BYTES:
            raise HashKeyError(len(key), MIN_KEY_BYTES)
        return IdentifierPolicy(key)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in order of precedence."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, _ExactToml(settings_cls)


def load_settings(**options: object) -> Settings:
    """Return the settings, with the given options on top; an option of None is not set.

    Raises:
        SettingsError: a value cannot be used; the text names it.
    """
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as exc:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors()]
        raise SettingsError(_SOURCES, problems) from exc
    except ValueError as exc:  # a TOML syntax error
        raise SettingsError(str(TOML_FILE), [str(exc)]) from exc
    resolved: dict[str, object] = {"home": settings.home.expanduser().resolve()}
    if settings.landing is not None and "://" not in settings.landing:
        resolved["landing"] = str(Path(settings.landing).expanduser().resolve())
    if settings.prices is not None:
        resolved["prices"] = settings.prices.expanduser().resolve()
    if Path(str(resolved["home"])).is_file():
        raise SettingsError(_SOURCES, [f"home: {resolved['home']} is a file; name a folder"])
    return settings.model_copy(update=resolved)


def keep_files_private() -> None:
    """Make all that this process and its children create readable by their owner only."""
    os.umask(0o077)


def claim_landing(settings: Settings) -> None:
    """Create the home and bind it to its landing, which it keeps for good.

    Raises:
        HashKeyError: no line could be judged, because the key for identifiers is missing.
        LandingMissingError: the landing is no folder; the home is bound to nothing.
        OtherLandingError: the home was filled from another landing.
    """
    _ = settings.identifier_policy
    root, known = settings.landing_root, _read_claimed(settings)
    is_named = settings.landing is not None and "://" not in root
    if known is None and is_named and not Path(root).is_dir():
        raise LandingMissingError(root)
    keep_files_private()
    try:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as exc:
        why = f"home: {settings.home} cannot be made ({exc.strerror}); name another folder"
        raise SettingsError(_SOURCES, [why]) from exc
    if settings.landing is None:
        Path(root).mkdir(exist_ok=True)
    if known is None:
        (settings.home / CLAIM).write_text(_to_claim(settings))
    elif known != root:
        raise OtherLandingError(settings.home / CLAIM, known=known, asked=root)


def read_claim(settings: Settings) -> Settings:
    """Return the settings with the landing the home belongs to, unless they name one."""
    known = _read_claimed(settings)
    if settings.landing is not None or known is None:
        return settings
    return settings.model_copy(update={"landing": known})


def _to_claim(settings: Settings) -> str:
    """Return how a home names its landing: one inside it by its place there, to move with it."""
    root = settings.landing_root
    if "://" in root or not Path(root).is_relative_to(settings.home):
        return root
    return str(Path(root).relative_to(settings.home))


def _read_claimed(settings: Settings) -> str | None:
    """Return the landing a home belongs to, or None before the first run."""
    claim = settings.home / CLAIM
    if not claim.exists():
        return None
    known = claim.read_text()
    return known if "://" in known else str(settings.home / known)
