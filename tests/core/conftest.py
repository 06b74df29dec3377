"""Hypothesis settings of the core tests: no deadline, since other work shares the cores."""

from hypothesis import Phase, settings

_PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)  # explaining takes minutes
settings.register_profile("core", deadline=None, max_examples=40, phases=_PHASES)
settings.load_profile("core")
