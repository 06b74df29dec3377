"""A release of the package that waits, or changes what names mean: what prices meanwhile."""

from decimal import Decimal

from tests.pipeline.releases import Prices, RenamingBook

GPT, DATED, MINI = ("openai", "gpt-4o"), ("openai", "gpt-4o-2024-11-20"), ("openai", "gpt-4o-mini")
USD = Decimal("0.0000025")


def test_a_release_that_waits_does_not_say_what_names_mean(prices: Prices) -> None:
    prices.settle("")
    assert prices.cost_per_input_token(GPT) == {GPT: USD}
    renamed = RenamingBook("9.9.9", ("gpt-4o", "gpt-4o-classic"), is_listed=True)
    assert prices.settle(book=renamed) == ["genai-prices", "waits"]
    # One that nobody asked for before is known to the installed release only.
    assert prices.cost_per_input_token(GPT, DATED) == {GPT: USD, DATED: None}
    assert prices.explain(GPT)["model_id"] == "gpt-4o"
    asked = "SELECT model, source_version FROM model_resolutions ORDER BY ALL"
    former = prices.in_force[0]
    assert prices.lake.read(asked).rows() == [(GPT[1], former), (DATED[1], "9.9.9")]
