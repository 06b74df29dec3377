"""How callers spell providers and models, and what those spellings have in common.

Only text is looked at here: which provider a name means, which seller a model's name itself
points to, and in which ways a model's name can be read. Add a spelling here if it means one thing
wherever it occurs. Holding readings against the catalogue is `price.matching`'s.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator
from types import MappingProxyType
from typing import NamedTuple

_ALIASES = MappingProxyType(
    {
        "anthropic": ("anthropic",),
        "aws": ("aws", "aws_bedrock", "bedrock", "bedrock_converse", "bedrock_runtime", "amazon",
                "amazon_bedrock"),
        "azure": ("azure", "azure_ai_openai", "azure_ai_inference", "azure_openai", "az_ai_openai",
                  "az_ai_inference", "azure_ai", "azure_ai_foundry", "azure_openai_service"),
        "cohere": ("cohere", "cohere_chat"),
        "fireworks": ("fireworks", "fireworks_ai"),
        "google": ("google", "gcp_vertex_ai", "gcp_gemini", "gcp_gen_ai", "vertex", "vertex_ai",
                   "vertexai", "google_vertex", "google_vertex_ai", "gemini", "google_gla",
                   "google_genai", "google_ai_studio", "google_generative_ai"),
        "mistral": ("mistral", "mistral_ai", "mistralai"),
        "moonshotai": ("moonshotai", "moonshot_ai", "moonshot"),
        "openai": ("openai", "open_ai", "text_completion_openai"),
        "openrouter": ("openrouter", "open_router"),
        "perplexity": ("perplexity", "perplexity_ai"),
        "together": ("together", "together_ai", "togetherai"),
        "voyageai": ("voyageai", "voyage_ai", "voyage"),
        "x-ai": ("x_ai", "xai"),
        "zai": ("zai", "z_ai"),
    }
)  # fmt: skip
"""Names of providers in OpenTelemetry, SDKs and gateways, with `_` for any run of separators.
Never by substring: `azure.ai.openai` holds openai and is azure."""
PROVIDER_IDS = MappingProxyType(
    {alias: provider for provider, aliases in _ALIASES.items() for alias in aliases}
)
GATEWAYS = frozenset(
    {"ai_gateway", "cloudflare_ai_gateway", "gateway", "helicone", "litellm", "litellm_proxy",
     "llm_gateway", "portkey", "vercel", "vercel_ai_gateway"}
)  # fmt: skip
"""Providers that sell nothing themselves; the model's name says who does."""
_SHELVES = frozenset({"aws", "azure", "google"})
"""Sellers of other makers' models, whose prefix in a model's name is no other seller's."""
_MAKERS = frozenset(
    {"anthropic", "cohere", "deepseek", "google", "meta", "minimax", "mistral", "moonshotai",
     "openai", "x-ai", "zai"}
)  # fmt: skip
_BEDROCK_ARN = re.compile(
    r"arn:aws:bedrock:[^:]*:[^:]*:(?:foundation-model|inference-profile)/(.+)"
)
_BEDROCK_ID = re.compile(r"(?:[a-z-]+\.)?(?:ai21|amazon|anthropic|cohere|meta|mistral)\.[a-z]")
_VERTEX_PATH = re.compile(r"(?:projects/[^/]+/)?(?:locations/[^/]+/)?publishers/[^/]+/models/(.+)")
_PATH = re.compile(r"(?:models|deployments|converse|invoke|[a-z]{2}-[a-z]+-\d)/(.+)")
_ELSEWHERE = re.compile(r"(?:.*/)?us-gov\..+")
"""Bedrock models outside the standard partition, whose prices the catalogue does not have."""
_REGION = re.compile(r"(?:us|eu|apac|jp|au|in|ca|sa)\.(.+)")
"""Regions of Bedrock that share one price. `global.` is cheaper and stays."""
_COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=[-:]|$)")
_FINE_TUNED = re.compile(
    r"(?:^|[^a-z])(?:ft|fine-?tuned?|lora|custom-model|tunedmodels)(?:[^a-z]|$)"
)

_TUNED_FROM = re.compile(r"(?:.*/)?ft:([^:]+)(?::.*)?")


class Reading(NamedTuple):
    """One way to read a model's name: the name so read, and the steps that led to it."""

    name: str
    steps: tuple[str, ...]


def clean(name: str) -> str:
    """Return a name without what spelling does not distinguish.

    >>> clean(" GPT-4o ")
    'gpt-4o'
    """
    return unicodedata.normalize("NFKC", name).strip().lower()


def key_of(provider: str) -> str:
    """Return a provider's name with one `_` for each run of separators.

    >>> key_of("Azure.AI OpenAI")
    'azure_ai_openai'
    """
    return re.sub(r"[\W_]+", "_", clean(provider))


def provider_id_of(provider: str) -> str:
    """Return the catalogue's id for a provider, or the clean name if there is no mapping.

    >>> provider_id_of(" Azure.AI.OpenAI ")
    'azure'
    """
    return PROVIDER_IDS.get(key_of(provider), clean(provider))


def is_gateway(provider: str) -> bool:
    """Say whether a provider only passes calls on.

    >>> is_gateway("LiteLLM")
    True
    """
    return key_of(provider) in GATEWAYS


def spelling_of(model: str, *, provider: str) -> str:
    """Return a model's clean name without paths and sellers in front of it.

    >>> spelling_of("models/Gemini-2.5-Pro ", provider="google")
    'gemini-2.5-pro'
    """
    *_, last = _unwrap(Reading(clean(model), ()), {provider_id_of(provider), *_SHELVES})
    return last.name


def without_gateways(model: str) -> str:
    """Return a model's clean name without gateways in front of it.

    >>> without_gateways("litellm_proxy/openai/gpt-4o")
    'openai/gpt-4o'
    """
    prefix, slash, rest = model.partition("/")
    return without_gateways(rest) if slash and is_gateway(prefix) else model


def is_fine_tuned(model: str) -> bool:
    """Say whether a model's name says that it was fine-tuned.

    >>> is_fine_tuned("ft:gpt-4o-mini:acme::a1b2"), is_fine_tuned("gpt-4o-mini")
    (True, False)
    """
    return bool(_FINE_TUNED.search(model))


def tuned_base_of(model: str) -> str | None:
    """Return the model that OpenAI's way to name a fine-tuned one says it was made of, or None.

    >>> tuned_base_of("ft:gpt-4o:acme:support:a1b2"), tuned_base_of("my-lora")
    ('gpt-4o', None)
    """
    named = _TUNED_FROM.fullmatch(model)
    return named[1] if named else None


def seller_named_by(model: str, *, sellers: frozenset[str]) -> str | None:
    """Return the seller that a model's clean name itself points to, or None.

    >>> seller_named_by("azure/gpt-4o", sellers=frozenset({"azure"}))
    'azure'
    """
    if _VERTEX_PATH.fullmatch(model) or re.search(r"claude.*@", model):
        return "google"
    if model.startswith("arn:") or _BEDROCK_ID.match(model):
        return "aws"
    prefix, slash, _ = model.partition("/")
    named = provider_id_of(prefix)
    return named if slash and named in sellers else None


def is_other_seller(named: str | None, *, seller: str) -> bool:
    """Say whether a name points to another seller than the one that was told.

    A maker's name in front of a model of a shelf, such as `anthropic/...` at google, does not.
    """
    return named not in {None, seller} and not (seller in _SHELVES and named in _MAKERS)


def readings_of(model: str, *, seller: str) -> Iterator[Reading]:
    """Yield the ways to read a clean name at a seller, the most literal first.

    >>> [reading.name for reading in readings_of("models/gemini-2.5-pro@20260101", seller="google")]
    ['models/gemini-2.5-pro@20260101', 'gemini-2.5-pro@20260101', 'gemini-2.5-pro-20260101', \
'gemini-2.5-pro-2026-01-01']
    """
    if seller == "aws" and _ELSEWHERE.fullmatch(model):
        return
    if model.startswith("arn:"):
        arn = _BEDROCK_ARN.fullmatch(model)
        unwrapped = [Reading(arn[1], ("arn",))] if arn else []
    else:
        unwrapped = list(_unwrap(Reading(model, ()), {seller, *_MAKERS, *_SHELVES}))
    yield from unwrapped
    for reading in unwrapped[-1:]:
        yield from _respell(reading, seller)


def _unwrap(reading: Reading, sellers: Collection[str]) -> Iterator[Reading]:
    """Yield a name, then what stays of it as paths and providers are taken off one by one."""
    yield reading
    path = _VERTEX_PATH.fullmatch(reading.name) or _PATH.fullmatch(reading.name)
    prefix, _, rest = reading.name.partition("/")
    if path:
        yield from _unwrap(Reading(path[1], (*reading.steps, "path")), sellers)
    elif rest and (provider_id_of(prefix) in sellers or is_gateway(prefix)):
        yield from _unwrap(Reading(rest, (*reading.steps, "prefix")), sellers)


def _respell(reading: Reading, seller: str) -> Iterator[Reading]:
    """Yield the name as the catalogue may spell it: each rule on what the one before made."""
    rules = [
        ("context", re.compile(r"(.+)\[1m\]"), r"\1"),
        ("region", _REGION, r"\1") if seller == "aws" else None,
        ("version", re.compile(r"(.+)@(?:default|latest)"), r"\1") if seller == "google" else None,
        ("version", re.compile(r"(.+)@(\d+)"), r"\1-\2") if seller == "google" else None,
        ("azure", re.compile(r"gpt-35-(.+)"), r"gpt-3.5-\1") if seller == "azure" else None,
    ]
    for step, pattern, made in filter(None, rules):
        if pattern.fullmatch(reading.name):
            reading = Reading(pattern.sub(made, reading.name), (*reading.steps, step))
            yield reading
    dashed = _COMPACT_DATE.sub(r"-\1-\2-\3", reading.name)
    if dashed != reading.name:
        yield Reading(dashed, (*reading.steps, "date"))
