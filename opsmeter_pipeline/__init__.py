"""Opsmeter pipeline: what LLM calls cost, who drove it, and how fresh the number is.

The packages below are laid out so that a stage has the same word everywhere: core module
here, thin asset in `assets/`, read-back checks in `checks/`, tests and Dagster group.
Stages are pure (frames and plain values in and out); every side effect lives in `storage`.
"""
