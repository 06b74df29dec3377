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


@pytest.fixture(scope="session")
def created(tmp_path_factory: pytest.TempPathFactory) -> PipelineHome:
    """A home whose warehouse has its tables and no row, to copy: creating them takes a second."""
    home = PipelineHome(tmp_path_factory.mktemp("created"), dg.DagsterInstance.ephemeral())
    assert home.resource.lake.exists
    return home


@pytest.fixture(scope="module")
def make_home(
    tmp_path_factory: pytest.TempPathFactory, instance: dg.DagsterInstance, created: PipelineHome
) -> MakeHome:
    """Makes homes whose runs are kept in memory; for tests that set up a home per file."""
    return lambda: created.copy(tmp_path_factory.mktemp("home") / "home", instance=instance)


@pytest.fixture
def home(tmp_path: Path, instance: dg.DagsterInstance, created: PipelineHome) -> PipelineHome:
    return created.copy(tmp_path / "home", instance=instance)


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory, created: PipelineHome) -> PipelineHome:
    """A home that a first run has set up, to copy."""
    home = created.copy(tmp_path_factory.mktemp("settled") / "home")
    assert home.run().success
    return home


@pytest.fixture
def settled_home(
    tmp_path: Path, instance: dg.DagsterInstance, settled: PipelineHome
) -> PipelineHome:
    """A home in which a run has nothing left to do but to take batches."""
    return settled.copy(tmp_path / "home", instance=instance)


@pytest.fixture
def prices(tmp_path: Path) -> Prices:
    """A warehouse without events, to settle prices in."""
    return Prices(tmp_path)
