"""Python functions as machine code, compiled by Numba when they are first called.

For loops over bytes or rows that no library has. A loop and all it calls stand in one module,
because Numba sees by that module's file alone whether compiled code is outdated. Compiled code
only borrows its arrays: it makes none and returns none.
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, Final, ParamSpec, TypeVar, cast

import numba

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_OPTIONS: Final[dict[str, Any]] = {
    "nogil": True,
    # Counting who holds an array takes atomic instructions at each call: three times the time.
    "_nrt": False,
}


def compiled(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Return the function compiled, free to run on several threads at once.

    The machine code is kept beside the module, or in the user's cache folder if nothing can be
    written there; if nothing can be written anywhere, each process compiles for itself.
    """

    @cache
    def build() -> Callable[Arguments, Result]:
        try:
            made = numba.njit(cache=True, **_OPTIONS)(function)
        except RuntimeError:  # no place for a cache
            made = numba.njit(**_OPTIONS)(function)
        return cast("Callable[Arguments, Result]", made)

    @wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return build()(*args, **kwargs)

    return call


def inlined(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Return the function for use in compiled ones, which take its code in."""
    made = numba.njit(forceinline=True, **_OPTIONS)(function)
    return cast("Callable[Arguments, Result]", made)
