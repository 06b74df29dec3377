"""Homes for the tests of the whole graph: a fresh one per test, or one per file to read from."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import HealthCheck, settings

from tests.pipeline.releases import Prices
from tests.pipeline.support import PipelineHome

# Imported here also because Pandera imports Hypothesis where it is first used, which in a run is in
# two threads at once, and pytest's rewriting of it is not safe there (CPython issue 106905).
settings.register_profile(
    "pipeline",
    deadline=None,
    max_examples=15,
    derandomize=True,  # too few examples to be left to chance
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("pipeline")

MakeHome = Callable[[], PipelineHome]


@pytest.fixture(scope="session", autouse=True)
def _own_settings_only() -> Iterator[None]:
    """Nothing that the developer has set for a home of their own reaches the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("OPSMETER_", "DAGSTER_"))]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture(scope="module")
def make_home(tmp_path_factory: pytest.TempPathFactory, instance: dg.DagsterInstance) -> MakeHome:
    """Makes homes whose runs are kept in memory; for tests that set up a home per file."""
    return lambda: PipelineHome(tmp_path_factory.mktemp("home"), instance)


@pytest.fixture
def home(tmp_path: Path, instance: dg.DagsterInstance) -> PipelineHome:
    return PipelineHome(tmp_path / "home", instance)


@pytest.fixture
def prices(tmp_path: Path) -> Prices:
    """A warehouse without events, to settle prices in."""
    return Prices(tmp_path)
