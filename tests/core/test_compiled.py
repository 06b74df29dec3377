"""Compiled functions: what becomes of them where no cache can be kept."""

import numpy as np

from opsmeter_pipeline.model.compiled import compiled


def test_function_without_a_place_for_its_cache_is_compiled_all_the_same() -> None:
    names: dict[str, object] = {}
    exec("def total(numbers):\n    found = 0\n    for one in numbers:\n        found += one\n    return found", names)  # noqa: E501 # fmt: skip
    total = compiled(names["total"])
    assert total(np.array([1, 2, 3])) == 6
