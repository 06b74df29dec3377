"""Compiled functions: what becomes of them where no cache can be kept, or a broken one is."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from opsmeter_pipeline.model.compiled import compiled


def test_function_without_a_place_for_its_cache_is_compiled_all_the_same() -> None:
    names: dict[str, object] = {}
    exec("def total(numbers):\n    found = 0\n    for one in numbers:\n        found += one\n    return found", names)  # noqa: E501 # fmt: skip
    total = compiled(names["total"])
    assert total(np.array([1, 2, 3])) == 6


@pytest.mark.parametrize("kept", ["*.nbi", "*.nbc"])
def test_cache_that_was_cut_is_made_again(tmp_path: Path, kept: str) -> None:
    (tmp_path / "summed.py").write_text(
        "import numpy as np\n"
        "from opsmeter_pipeline.model.compiled import compiled\n"
        "@compiled\n"
        "def total(numbers):\n"
        "    return numbers[0] + numbers[1]\n"
        "print(total(np.array([1, 2])))\n"
    )
    command = [sys.executable, tmp_path / "summed.py"]
    told = [subprocess.check_output(command)]
    [file] = tmp_path.rglob(kept)
    whole = file.stat().st_size
    for _ in range(2):
        file.write_bytes(file.read_bytes()[:40])
        told.append(subprocess.check_output(command))
        assert file.stat().st_size == whole
    assert told == [b"3\n"] * 3
