"""Homes for the tests that break something on purpose: the fixtures of the whole graph."""

from tests.pipeline.conftest import _own_settings_only, home, instance  # noqa: F401 - fixtures
