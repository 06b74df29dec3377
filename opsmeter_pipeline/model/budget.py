"""What may be spent: a limit per day or month, in a time zone, for a part of the traffic.

Read from `[[budget]]` of `opsmeter.toml` by the settings, handed on as a value. How much of it is
spent and what that means is judged by the `budget` stage.
"""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)

from opsmeter_pipeline.model.errors import UnknownZoneError
from opsmeter_pipeline.model.zones import open_zone

DAILY, MONTHLY = "daily", "monthly"
ANY = "*"
"""Within a pattern it stands for any text; alone, for everything."""
SCOPE_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "environment": "environment",
        "endpoint": "endpoint_tag",
        "tenant": "tenant_id",
        "model": "model",
        "provider": "provider",
    }
)
"""What a budget can be of, and the column of the cube that says it."""


def _refuse_flags(value: object) -> object:
    if isinstance(value, bool):
        msg = "it must be a number, such as 250 or '250.00'"
        raise ValueError(msg)  # noqa: TRY004 - pydantic turns it into a problem of this setting
    return value


_Usd = Annotated[
    Decimal, Field(gt=0, max_digits=24, decimal_places=12), BeforeValidator(_refuse_flags)
]
_Share = Annotated[Decimal, Field(gt=0, le=1, decimal_places=4), BeforeValidator(_refuse_flags)]
_Pattern = Annotated[str, Field(min_length=1, max_length=256)]


class Budget(BaseModel):
    """One `[[budget]]`: what may be spent in a day or month. Only `data_mode` real counts.

    Attributes:
        name: names it for good; another name is another budget.
        limit_usd: what may be spent in a period; above it the budget is exceeded.
        period: a calendar day or month of the zone.
        zone: IANA name of the time zone whose days and months are meant.
        warning_share: from which part of the limit on there is a warning, that part included.
        environment: whose traffic; `*` is every environment.
        endpoint: pattern of endpoint tags, such as `support.*`, as the next three.
        tenant: pattern of tenant ids.
        model: pattern of models, as callers name them.
        provider: pattern of providers, likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=80)
    limit_usd: _Usd
    period: Literal["daily", "monthly"] = MONTHLY
    zone: str = "UTC"
    warning_share: _Share = Decimal("0.8")
    environment: Literal["prod", "staging", "dev", "*"] = "prod"
    endpoint: _Pattern = ANY
    tenant: _Pattern = ANY
    model: _Pattern = ANY
    provider: _Pattern = ANY

    @model_validator(mode="wrap")
    @classmethod
    def _name_culprit(cls, told: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401 - whatever the file holds
        """Say of each problem whose it is: a number in a list tells a person little."""
        try:
            return handler(told)
        except ValidationError as exc:
            problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors()]
            name = cast("dict[str, Any]", told).get("name") if isinstance(told, dict) else None
            msg = f"budget {name!r}: {'; '.join(problems)}"
            raise ValueError(msg) from None

    @field_validator("name")
    @classmethod
    def _require_plain(cls, name: str) -> str:
        if name != name.strip() or not name.isprintable():
            msg = "it must be printable, without blanks at its ends"
            raise ValueError(msg)
        return name

    @field_validator("zone")
    @classmethod
    def _require_zone(cls, zone: str) -> str:
        try:
            open_zone(zone)
        except UnknownZoneError as exc:
            raise ValueError(str(exc)) from None
        return zone

    @property
    def warning_usd(self) -> Decimal:
        """From how much on there is a warning, exactly."""
        return self.limit_usd * self.warning_share

    @property
    def patterns(self) -> dict[str, str]:
        """What of the cube it is about: a pattern for each column that is not of any value."""
        told = {column: getattr(self, name) for name, column in SCOPE_COLUMNS.items()}
        return {column: pattern for column, pattern in told.items() if pattern != ANY}

    @property
    def scope(self) -> str:
        """How people are told what it is of, such as `prod, endpoint support.*`."""
        parts = [
            f"{name} {getattr(self, name)}"
            for name in SCOPE_COLUMNS
            if name != "environment" and getattr(self, name) != ANY
        ]
        where = "all environments" if self.environment == ANY else self.environment
        return ", ".join([where, *parts])


def refuse_namesakes(budgets: tuple[Budget, ...]) -> tuple[Budget, ...]:
    """Return the budgets, each of a name of its own.

    Raises:
        ValueError: two have the same name.
    """
    seen: set[str] = set()
    for one in budgets:
        if one.name in seen:
            msg = f"two budgets are named {one.name!r}; each needs a name of its own"
            raise ValueError(msg)
        seen.add(one.name)
    return budgets
