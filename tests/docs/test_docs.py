"""The pages say what the code does: generated pages are current, README commands run."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from opsmeter_pipeline.contract.rules import MEANINGS, RULES
from opsmeter_pipeline.model.tables import TABLES
from opsmeter_pipeline.model.unpriced import REASONS
from opsmeter_pipeline.views import VIEWS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COMMAND = str(Path(sys.executable).parent / "opsmeter")


def test_generated_pages_are_current():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for name, text in generate.build_pages().items():
        assert (ROOT / "docs" / name).read_text() == text, f"run: python docs/generate.py ({name})"


def test_every_rule_has_a_meaning_for_the_docs():
    assert {rule.name for rule in RULES} <= set(MEANINGS)


def test_every_reason_for_no_price_is_explained():
    page = (ROOT / "docs/prices.md").read_text()
    for reason, meaning in REASONS.items():
        assert f"| `{reason}` | {meaning} |" in page


def test_every_table_and_view_stands_in_the_readme():
    for name in [table.name for table in TABLES] + [view.name for view in VIEWS]:
        assert f"`{name}`" in README


def test_every_path_the_pages_name_exists():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
    for path in re.findall(r"`(opsmeter_pipeline/[a-z_/]+\.py|docs/[a-z]+\.md)`", README):
        assert (ROOT / path).exists(), path


def test_every_make_command_of_the_readme_is_a_target():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"^make ([a-z]+)", README, re.MULTILINE)
    assert named == ["demo", "test"]
    assert set(named) <= set(targets)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    (folder / "landing").mkdir()
    payload = re.search(r"```json\n(.*?)\n```", README, re.DOTALL)[1]
    (folder / "landing" / "usage.jsonl").write_text(payload + "\n")
    return {"cwd": folder, "env": os.environ | {"OPSMETER_HOME": str(folder / "home")}}


def test_the_readme_commands_run_on_the_readme_payload(environment):
    commands = re.findall(r"^opsmeter ((?:run|query).*?)(?:\s{2,}#.*)?$", README, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        words = re.findall(r'"[^"]*"|\S+', command.replace("/var/log/llm-usage", "landing"))
        done = subprocess.run(
            [COMMAND, *(word.strip('"') for word in words)],
            **environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert "checkout.ai_summary" in done.stdout
