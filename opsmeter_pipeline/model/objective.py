"""What freshness was promised: the objective, and the traffic it is promised for.

Read from `[slo]` and `[[slo.override]]` of `opsmeter.toml` by the settings, handed on as a value.
Whether a promise was kept is judged by the `freshness` stage.
"""

from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from opsmeter_pipeline.model.lag import bin_seconds


def _check_limit(seconds: int) -> int:
    if bin_seconds(seconds) != seconds:
        below = next(one for one in range(seconds, 0, -1) if bin_seconds(one) == one)
        msg = (
            f"lags are not counted as finely as {seconds} s; use {below} or {bin_seconds(seconds)}"
        )
        raise ValueError(msg)
    return seconds


_Limit = Annotated[int, Field(gt=0, le=864_000), AfterValidator(_check_limit)]
_Share = Annotated[Decimal, Field(gt=0, lt=1)]
_Days = Annotated[int, Field(ge=1, le=366)]
_Count = Annotated[int, Field(ge=1)]


class Objective(BaseModel):
    """What is promised of events.

    Attributes:
        limit_seconds: by when after its ingest time an event must be visible.
        target_share: the part of events that must be; above 0 and below 1.
        window_days: over how many days the share is taken.
        minimum_events: fewer events than that are judged by nobody.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit_seconds: _Limit = 300
    target_share: _Share = Decimal("0.95")
    window_days: _Days = 28
    minimum_events: _Count = 20


class Override(BaseModel):
    """What is promised of some events instead; what it does not say is as in `[slo]`.

    Attributes:
        environment: whose events.
        endpoint: pattern of their endpoint tags, such as `batch.*`.
        limit_seconds: as of an objective, like the rest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: Literal["prod", "staging", "dev"] = "prod"
    endpoint: str = Field(default="*", min_length=1)
    limit_seconds: _Limit | None = None
    target_share: _Share | None = None
    window_days: _Days | None = None
    minimum_events: _Count | None = None


class Scope(NamedTuple):
    """The events one objective is about: those that no scope before it is about.

    Attributes:
        environment: whose events.
        endpoint: pattern of their endpoint tags.
        objective: what is promised of them.
    """

    environment: str
    endpoint: str
    objective: Objective

    @property
    def name(self) -> str:
        """How people are told of it, such as `prod/batch.*`."""
        return f"{self.environment}/{self.endpoint}"


class Slo(Objective):
    """All that is promised: of production, and what is promised otherwise.

    Attributes:
        silence_seconds: how long nothing may be seen, no event and no probe, until freshness is
            unknown; that is a breach.
        override: other objectives; the first that fits an event counts.
    """

    silence_seconds: int = Field(default=3600, ge=60)
    override: tuple[Override, ...] = ()

    @model_validator(mode="after")
    def _refuse_shadowed(self) -> Self:
        """Refuse an override that no event could reach, or that leaves none to `[slo]`."""
        told: set[tuple[str, str]] = {("prod", "*")}
        for one in self.override:
            key = (one.environment, one.endpoint)
            if key in told:
                msg = f"override {'/'.join(key)} is told already; change that one, or [slo] itself"
                raise ValueError(msg)
            if (one.environment, "*") in told - {("prod", "*")}:
                msg = f"override {'/'.join(key)} stands after {one.environment}/*; put it before"
                raise ValueError(msg)
            told.add(key)
        return self

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """All scopes in the order in which they are tried; production's own is the last."""
        own = self.model_dump(include=set(Objective.model_fields))
        others = (
            Scope(one.environment, one.endpoint, Objective(**own | _told(one)))
            for one in self.override
        )
        return (*others, Scope("prod", "*", Objective(**own)))

    def find_scope(self, environment: str, endpoint: str) -> Scope | None:
        """Return the scope of an event, or None if nothing is promised of its environment."""
        return next(
            (
                one
                for one in self.scopes
                if one.environment == environment and fnmatchcase(endpoint, one.endpoint)
            ),
            None,
        )


def _told(override: Override) -> dict[str, Any]:
    return override.model_dump(exclude={"environment", "endpoint"}, exclude_none=True)
