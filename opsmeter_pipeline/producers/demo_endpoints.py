"""Who sends in the demo: the endpoints with their models, and the tenants with their users.

Holds authored numbers (shares, medians) and the fake population drawn from the seed.
Add an endpoint or a model here; every model but the private one must be known to genai-prices.
Keep out: times, single requests, faults.
Before it in the flow: nothing. After it: demo_traffic.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate

SUMMARY_TAG = "checkout.ai_summary"
SUMMARY_VERSION_BEFORE = "summary_v3"
SUMMARY_VERSION_AFTER = "summary_v4"
SUMMARY_OUTPUT_RATIO = 1.35
SPIKE_TAG = "search.rerank"
SPIKE_TENANT_RANK = 2
UNPRICED_PROVIDER = "acme"
UNPRICED_MODEL = "acme-private-llm-1"

_TENANT_COUNT = 24
_USER_COUNT = 2_000


@dataclass(frozen=True, slots=True)
class ModelShare:
    """A model and its part of an endpoint's requests."""

    provider: str
    model: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """How one endpoint's requests look; medians are those of a lognormal.

    `cached_request_share` is the part of requests that read or write a prompt cache.
    `reasoning_share` is the part of the output that is reasoning, 0 for none.
    `is_attempt_sent` tells whether its client sends the optional `attempt` field.
    """

    tag: str
    prompt_version: str
    share: float
    models: tuple[ModelShare, ...]
    input_tokens_median: int
    output_tokens_median: int
    latency_floor_ms: int
    latency_ms_per_output_token: float
    cached_request_share: float = 0.0
    reasoning_share: float = 0.0
    is_attempt_sent: bool = True


ENDPOINTS = (
    Endpoint(
        tag=SUMMARY_TAG,
        prompt_version=SUMMARY_VERSION_BEFORE,
        share=0.20,
        models=(
            ModelShare("openai", "gpt-5-mini", 0.7),
            ModelShare("anthropic", "claude-haiku-4-5", 0.3),
        ),
        input_tokens_median=1_400,
        output_tokens_median=260,
        latency_floor_ms=350,
        latency_ms_per_output_token=6.0,
    ),
    Endpoint(
        tag="support.reply",
        prompt_version="reply_v7",
        share=0.18,
        models=(
            ModelShare("anthropic", "claude-sonnet-4-5", 0.75),
            ModelShare("openai", "gpt-5", 0.25),
        ),
        input_tokens_median=3_200,
        output_tokens_median=340,
        latency_floor_ms=600,
        latency_ms_per_output_token=13.0,
        cached_request_share=0.7,
    ),
    Endpoint(
        tag=SPIKE_TAG,
        prompt_version="rerank_v2",
        share=0.17,
        models=(
            ModelShare("google", "gemini-2.5-flash-lite", 0.6),
            ModelShare("openai", "gpt-5-nano", 0.4),
        ),
        input_tokens_median=2_100,
        output_tokens_median=40,
        latency_floor_ms=140,
        latency_ms_per_output_token=4.0,
        is_attempt_sent=False,
    ),
    Endpoint(
        tag="search.embed",
        prompt_version="embed_v1",
        share=0.15,
        models=(ModelShare("openai", "text-embedding-3-small", 1.0),),
        input_tokens_median=420,
        output_tokens_median=0,
        latency_floor_ms=60,
        latency_ms_per_output_token=0.0,
        is_attempt_sent=False,
    ),
    Endpoint(
        tag="docs.answer",
        prompt_version="answer_v12",
        share=0.10,
        models=(
            ModelShare("google", "gemini-2.5-pro", 0.4),
            ModelShare("openai", "gpt-5", 0.4),
            ModelShare("anthropic", "claude-sonnet-4-5", 0.2),
        ),
        input_tokens_median=6_500,
        output_tokens_median=520,
        latency_floor_ms=900,
        latency_ms_per_output_token=15.0,
        cached_request_share=0.45,
        reasoning_share=0.4,
    ),
    Endpoint(
        tag="agent.plan",
        prompt_version="plan_v5",
        share=0.05,
        models=(
            ModelShare("openai", "o4-mini", 0.45),
            ModelShare("google", "gemini-2.5-pro", 0.35),
            ModelShare("anthropic", "claude-opus-4-5", 0.2),
        ),
        input_tokens_median=4_800,
        output_tokens_median=1_500,
        latency_floor_ms=1_200,
        latency_ms_per_output_token=11.0,
        cached_request_share=0.3,
        reasoning_share=0.65,
    ),
    Endpoint(
        tag="catalog.describe",
        prompt_version="describe_v4",
        share=0.08,
        models=(
            ModelShare("openai", "gpt-4o-mini", 0.6),
            ModelShare("google", "gemini-2.5-flash", 0.4),
        ),
        input_tokens_median=900,
        output_tokens_median=210,
        latency_floor_ms=250,
        latency_ms_per_output_token=7.0,
        is_attempt_sent=False,
    ),
    Endpoint(
        tag="moderation.classify",
        prompt_version="classify_v9",
        share=0.07,
        models=(
            ModelShare("openai", "gpt-4.1-mini", 0.55),
            ModelShare("anthropic", "claude-haiku-4-5", 0.45),
        ),
        input_tokens_median=310,
        output_tokens_median=12,
        latency_floor_ms=120,
        latency_ms_per_output_token=5.0,
    ),
)


@dataclass(frozen=True, slots=True)
class Weighted:
    """Ids with the cumulative weights that `random.choices` wants."""

    ids: tuple[str, ...]
    cum_weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Population:
    """The tenants, largest first, and the users of each; a user has one tenant."""

    tenants: Weighted
    users_by_tenant: dict[str, Weighted]

    @property
    def spike_tenant_id(self) -> str:
        """The tenant whose rerank traffic spikes: a large one, not the largest."""
        return self.tenants.ids[SPIKE_TENANT_RANK]


def build_population(*, seed: int) -> Population:
    """Return the same tenants and users for the same seed, whatever the day."""
    tenant_ids = [_hash_id("t", text=f"{seed}:tenant:{rank}") for rank in range(_TENANT_COUNT)]
    tenants = _weigh_by_rank(tenant_ids, flatness=0)
    total_weight = tenants.cum_weights[-1]
    users_by_tenant = {
        tenant_id: _weigh_by_rank(
            [
                _hash_id("u", text=f"{seed}:user:{rank}:{number}")
                for number in range(round(_USER_COUNT / (rank + 1) / total_weight))
            ],
            flatness=5,
        )
        for rank, tenant_id in enumerate(tenant_ids)
    }
    return Population(tenants=tenants, users_by_tenant=users_by_tenant)


def _hash_id(prefix: str, *, text: str) -> str:
    return f"{prefix}_{sha256(text.encode()).hexdigest()[:12]}"


def _weigh_by_rank(ids: Sequence[str], *, flatness: int) -> Weighted:
    weights = (1 / (rank + 1 + flatness) for rank in range(len(ids)))
    return Weighted(ids=tuple(ids), cum_weights=tuple(accumulate(weights)))
