"""How callers spell providers and models, and what the catalogue calls them.

Only spellings that mean one thing are mapped; a name that stays unknown is unpriced, not
guessed. The catalogue's own patterns are applied after this, by `storage.price_book`.
"""

import unicodedata
from types import MappingProxyType

PROVIDER_IDS = MappingProxyType(
    {
        "azure.ai.openai": "azure",
        "azure.ai.inference": "azure",
        "azure_openai": "azure",
        "az.ai.openai": "azure",
        "azure_ai": "azure",
        "aws.bedrock": "aws",
        "bedrock": "aws",
        "bedrock_converse": "aws",
        "amazon": "aws",
        "gcp.vertex_ai": "google",
        "gcp.gemini": "google",
        "gcp.gen_ai": "google",
        "vertex_ai": "google",
        "gemini": "google",
        "x_ai": "x-ai",
        "xai": "x-ai",
        "mistral_ai": "mistral",
        "mistralai": "mistral",
        "together_ai": "together",
        "fireworks_ai": "fireworks",
        "moonshot_ai": "moonshotai",
        "moonshot": "moonshotai",
    }
)
"""OpenTelemetry's and gateways' provider names. genai-prices matches by substring and would read
`azure.ai.openai` as openai, so these come first."""
_PREFIXES = ("models/", "bedrock/", "azure/")


def provider_id_of(provider: str) -> str:
    """Return the catalogue's id for a provider, or the clean name if there is no mapping.

    >>> provider_id_of(" Azure.AI.OpenAI ")
    'azure'
    """
    name = _clean(provider)
    return PROVIDER_IDS.get(name, name)


def spelling_of(model: str, *, provider: str) -> str:
    """Return the model's name as the catalogue's patterns expect it.

    >>> spelling_of("models/Gemini-2.5-Pro ", provider="google")
    'gemini-2.5-pro'
    """
    name = _clean(model)
    prefixes = (f"{_clean(provider)}/", *_PREFIXES)
    return next((name.removeprefix(p) for p in prefixes if name.startswith(p)), name)


def _clean(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().lower()
