"""Homes for the tests that break something on purpose: the fixtures of the whole graph."""

from tests.pipeline.conftest import (  # noqa: F401 - fixtures
    _own_settings_only,
    created,
    home,
    instance,
    settled,
    settled_home,
)
