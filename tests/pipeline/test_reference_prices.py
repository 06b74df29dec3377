"""The prices at which `opsmeter why` weighs tokens: those that price, each model's by one card."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from opsmeter_pipeline.drivers.windows import compare_until
from opsmeter_pipeline.model.tables import ATTRIBUTION_HOURLY
from opsmeter_pipeline.storage.drivers import read_compared
from tests.pipeline.releases import NOW, NewerBook, Prices

D = Decimal
GPT, AZURE, DEV = ("openai", "gpt-4o"), ("azure", "prod-chat"), ("acme", "unknown")
OWN = """
[[price]]
provider = "openai"
model = "gpt-4o"
input_usd_per_mtok = "{}"
output_usd_per_mtok = "12"

[[price]]
provider = "openai"
model = "gpt-4o"
environment = "dev"
input_usd_per_mtok = "1"
output_usd_per_mtok = "1"
"""


def weights(prices: Prices, *names: tuple[str, str], environment: str = "prod") -> dict:
    """Return the prices of a million tokens by name, of windows before now with these names."""
    prices.cost_per_input_token(*names)
    numbers = {one.name: 1 for one in ATTRIBUTION_HOURLY.columns if one.dtype.is_numeric()}
    told = dict.fromkeys(ATTRIBUTION_HOURLY.schema, "x") | numbers
    told |= {"hour_at": datetime(2026, 11, 22, tzinfo=UTC), "environment": environment}
    marks = ", ".join("?" * len(told))
    for provider, model in names:
        row = told | {"provider": provider, "model": model, "data_mode": "real"}
        prices.lake.transact(
            lambda con, row=row: con.execute(
                f"INSERT INTO attribution_hourly VALUES ({marks})", [*row.values()]
            )
        )
    until = compare_until(NOW.replace(hour=0), timedelta(days=1), environment=environment)
    found = read_compared(prices.lake, prices.book, until, late_after=timedelta(days=2)).prices
    per_million: dict[tuple[str, str], dict[str, Decimal]] = {}
    for provider, model, token_class, price in found.rows():
        per_million.setdefault((provider, model), {})[token_class] = price * 1_000_000
    return per_million


def test_own_prices_weigh_tokens_whole_though_the_package_was_loaded_later(prices: Prices) -> None:
    assert prices.settle(OWN.format("3")) == ["prices.toml", "taken"]
    assert prices.settle(book=NewerBook("9.9.9", "1.4")) == ["genai-prices", "taken"]
    # The file names no cache prices, so they cost input; nothing is mixed in from the package.
    own = {"uncached_input": D(3), "cache_read": D(3), "cache_write": D(3), "output": D(12)}
    assert weights(prices, GPT) == {GPT: own}
    assert weights(prices, GPT, environment="dev") == {GPT: dict.fromkeys(own, D(1))}


def test_prices_that_are_gone_or_wait_weigh_nothing(prices: Prices) -> None:
    prices.settle(OWN.format("3"))
    assert prices.settle(OWN.format("3.5")) == ["prices.toml", "taken"]
    assert prices.settle(OWN.format("35")) == ["prices.toml", "waits"]
    assert weights(prices, GPT)[GPT]["uncached_input"] == D("3.5")
    prices.settle("[[alias]]\nprovider = 'azure'\nmodel = 'prod-chat'\n"
                  "means_provider = 'openai'\nmeans_model = 'gpt-4o'\n")  # fmt: skip
    prices.accept()
    listed = {"uncached_input": D("2.5"), "cache_read": D("1.25"), "cache_write": D("2.5"),
              "output": D(10)}  # fmt: skip
    assert weights(prices, GPT, AZURE, DEV) == {GPT: listed, AZURE: listed}
