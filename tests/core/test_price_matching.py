"""How callers spell providers and models, against the installed catalogue."""

import pytest
from genai_prices import data_snapshot

from opsmeter_pipeline.price import Matcher, provider_id_of, spelling_of


@pytest.fixture(scope="module")
def matcher() -> Matcher:
    return Matcher(data_snapshot.get_snapshot().providers)


@pytest.mark.parametrize(
    ("provider", "catalogue_id"),
    [("openai", "openai"), (" OpenAI ", "openai"), ("azure.ai.openai", "azure"),
     ("az.ai.inference", "azure"), ("Azure_OpenAI", "azure"), ("Azure OpenAI", "azure"),
     ("aws.bedrock", "aws"), ("gcp.vertex_ai", "google"), ("gcp.gemini", "google"),
     ("vertex-ai", "google"), ("mistralai", "mistral"), ("x_ai", "x-ai"), ("xai", "x-ai"),
     ("\uff4f\uff50\uff45\uff4e\uff41\uff49", "openai"), ("acme", "acme"),
     ("my-openai", "my-openai")],
)  # fmt: skip
def test_providers_are_known_by_their_usual_names(provider: str, catalogue_id: str) -> None:
    assert provider_id_of(provider) == catalogue_id


@pytest.mark.parametrize(
    ("model", "provider", "spelling"),
    [("GPT-4o ", "openai", "gpt-4o"), ("openai/gpt-4o", "OpenAI", "gpt-4o"),
     ("models/gemini-2.5-pro", "google", "gemini-2.5-pro"), ("azure/gpt-4o", "openai", "gpt-4o"),
     ("meta-llama/Llama-3", "together", "meta-llama/llama-3"), ("x", "x", "x"),
     ("anthropic/claude-x", "openrouter", "anthropic/claude-x")],
)  # fmt: skip
def test_models_lose_the_sellers_in_front_of_them(model: str, provider: str, spelling: str) -> None:
    assert spelling_of(model, provider=provider) == spelling


SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.mark.parametrize(
    ("provider", "model", "found"),
    [
        ("openai", "gpt-4o", "openai/gpt-4o by equals"),
        (" OpenAI", "\tGPT-4o\n", "openai/gpt-4o by equals"),
        ("openai", "\uff47\uff50\uff54-4o", "openai/gpt-4o by equals"),
        ("openai", "openai/gpt-4o", "openai/gpt-4o by prefix+equals"),
        ("openai", "gpt-5.2-20251211", "openai/gpt-5.2 by date+equals"),
        ("azure.ai.openai", "gpt-4o", "openai/gpt-4o by equals+borrowed"),
        ("azure.ai.openai", "o1-mini", "azure/o1-mini by equals"),
        ("azure", "gpt-35-turbo-0125", "openai/gpt-3.5-turbo by azure+equals+borrowed"),
        ("azure", "azure/gpt-4o", "openai/gpt-4o by prefix+equals+borrowed"),
        ("openai", "azure/gpt-4o", "openai/gpt-4o by prefix+equals+borrowed"),
        ("google", "models/gemini-2.5-pro", "google/gemini-2.5-pro by path+starts_with"),
        ("gcp.gemini", "gemini/gemini-2.5-pro", "google/gemini-2.5-pro by prefix+starts_with"),
        ("gcp.vertex_ai", "claude-sonnet-4-5@20250929", "google/claude-sonnet-4-5 by contains"),
        ("vertex_ai", "publishers/google/models/gemini-2.5-flash",
         "google/gemini-2.5-flash by path+equals"),
        ("vertex_ai", "projects/p/locations/eu/publishers/google/models/gemini-2.5-flash",
         "google/gemini-2.5-flash by path+equals"),
        ("vertex_ai", "gemini-2.5-flash@default", "google/gemini-2.5-flash by version+equals"),
        ("anthropic", "claude-sonnet-4-5[1m]", "anthropic/claude-sonnet-4-5 by starts_with"),
        ("aws.bedrock", SONNET, f"aws/regional.{SONNET} by starts_with"),
        ("aws.bedrock", f"eu.{SONNET}", f"aws/regional.{SONNET} by contains"),
        ("aws.bedrock", f"sa.{SONNET}", f"aws/regional.{SONNET} by region+starts_with"),
        ("aws.bedrock", f"global.{SONNET}", f"aws/global.{SONNET} by contains"),
        ("aws.bedrock", f"arn:aws:bedrock:eu-west-1:1234:inference-profile/global.{SONNET}",
         f"aws/global.{SONNET} by arn+contains"),
        ("aws.bedrock", f"arn:aws:bedrock:us-east-1::foundation-model/{SONNET}",
         f"aws/regional.{SONNET} by arn+starts_with"),
        ("anthropic", f"arn:aws:bedrock:us-east-1::foundation-model/{SONNET}",
         f"aws/regional.{SONNET} by arn+starts_with"),
        ("bedrock", f"bedrock/us-east-1/{SONNET}",
         f"aws/regional.{SONNET} by prefix+path+starts_with"),
        ("litellm", "openai/gpt-4o", "openai/gpt-4o by prefix+equals"),
        ("litellm", "groq/llama-3.3-70b-versatile",
         "groq/llama-3.3-70b-versatile by prefix+equals"),
        ("litellm", f"bedrock/global.{SONNET}", f"aws/global.{SONNET} by contains"),
        ("litellm", f"global.{SONNET}", f"aws/global.{SONNET} by contains"),
        ("litellm", "openrouter/openai/gpt-4o", "openrouter/openai/gpt-4o by prefix+equals"),
        ("LiteLLM", "gpt-4o", "openai/gpt-4o by equals"),
        ("openrouter", "openai/gpt-4o", "openrouter/openai/gpt-4o by equals"),
        ("openrouter", "openrouter/openai/gpt-4o", "openrouter/openai/gpt-4o by prefix+equals"),
        ("groq", "openai/gpt-oss-120b", "groq/openai/gpt-oss-120b by equals"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:org::id", "openai/ft:gpt-4o-mini by starts_with"),
        ("openai", "ft:gpt-4-0613:org::id", "openai/gpt-4 by starts_with"),
    ],
)  # fmt: skip
def test_names_from_the_wild_mean_one_model(matcher, provider, model, found) -> None:
    got = matcher.resolve(provider, model)
    assert f"{got.provider_id}/{got.model_id} by {got.rule}" == found
    assert got.candidates is None


@pytest.mark.parametrize(
    ("provider", "model", "rule", "candidates"),
    [
        ("acme", "gpt-4o", "unknown_provider", None),
        ("my-openai", "gpt-4o", "unknown_provider", None),
        ("openai", "gpt-4o-2099-01-01", "unknown_model", None),
        ("openai", "gpt-4o-prod", "unknown_model", None),
        ("openai", "/", "unknown_model", None),
        ("azure", "my-prod-deployment", "unknown_model", None),
        ("litellm", "mycorp/gpt-4o", "unknown_model", None),
        ("litellm", "house-model", "unknown_model", None),
        ("openrouter", "gpt-4o", "unknown_model", None),
        ("vertex_ai", "projects/p/locations/eu/endpoints/123", "unknown_model", None),
        ("aws", "arn:aws:bedrock:eu-west-1:1:application-inference-profile/x1y2",
         "unknown_model", None),
        ("aws", f"arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/{SONNET}",
         "unknown_model", None),
        ("aws", f"us-gov.{SONNET}", "unknown_model", None),
        ("aws", "global.openai.gpt-5.4", "unknown_model", None),
        ("aws", "arn:aws:bedrock:eu-west-1:1:custom-model/amazon.nova-lite-v1:0/x1", "fine_tuned",
         None),
        ("openai", "ft:gpt-4o-mini:org::id", "fine_tuned", "openai/gpt-4o-mini"),
        ("azure", "openai/ft:gpt-35-turbo", "fine_tuned", "openai/gpt-3.5-turbo"),
        ("openai", "ft:house-model:org::id", "fine_tuned", None),
        ("google", "tunedModels/gemini-x", "fine_tuned", None),
        ("aws", "amazon.nova-lite-v1:0-ft-acme", "fine_tuned", "aws/amazon.nova-lite-v1:0"),
        ("anthropic", "claude-sonnet-4-5@20250929", "ambiguous",
         "anthropic/claude-sonnet-4-5, google/claude-sonnet-4-5"),
        ("anthropic", f"us.{SONNET}", "ambiguous", f"aws/regional.{SONNET}"),
        ("openai", "openrouter/openai/gpt-4o", "ambiguous",
         "openrouter/openai/gpt-4o"),
        ("openai", "anthropic/claude-sonnet-4-5", "ambiguous", "anthropic/claude-sonnet-4-5"),
    ],
)  # fmt: skip
def test_what_may_mean_several_models_or_none_is_not_guessed(
    matcher, provider, model, rule, candidates
) -> None:
    got = matcher.resolve(provider, model)
    assert got == (None, None, None, rule, candidates)


def test_every_id_of_the_catalogue_means_itself_or_what_an_earlier_pattern_takes(matcher) -> None:
    for provider in data_snapshot.get_snapshot().providers:
        for model in provider.models:
            first = provider.find_model(model.id)
            got = matcher.resolve(provider.id, model.id)
            assert got.model_id == (first and first.id)


def test_azure_keeps_its_own_price_list_before_the_one_it_borrows(matcher) -> None:
    assert matcher.resolve("azure", "gpt-4o").called_provider_id == "azure"
    assert matcher.resolve("openai", "gpt-4o").called_provider_id == "openai"
