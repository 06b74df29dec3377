"""Shared nouns: columns, tables, times, errors and verdicts. Imports nothing of ours."""
