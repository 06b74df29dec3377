"""The digest stage: what a week cost against the one before, why, and what to do, on one page.

`facts` are the plain values, `compose` says what is told and in which order, `page` writes it as
Markdown and HTML. Reading, files and messages are `storage.digest`'. Comes after everything else.
"""

from opsmeter_pipeline.digest.compose import compose
from opsmeter_pipeline.digest.facts import Facts, Week, plan_week
from opsmeter_pipeline.digest.page import Page, to_html, to_markdown

__all__ = ["Facts", "Page", "Week", "compose", "plan_week", "to_html", "to_markdown"]
