"""The `opsmeter` command: a module per command group, thin. Logic belongs into the stages."""

from opsmeter_pipeline.cli.app import call

__all__ = ["call"]
