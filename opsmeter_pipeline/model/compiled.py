"""Python functions as machine code, compiled by Numba when they are first called.

For loops over bytes or rows that no library has. A loop, all it calls and its constants stand in
one module, because Numba sees by that module's file alone whether compiled code is outdated; what
comes from elsewhere is an argument. Compiled code only borrows its arrays: it makes none and
returns none.
"""

import pickle
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
    written there; if nothing can be written anywhere, each process compiles for itself. What is
    kept and broken is thrown away and made again.
    """

    @cache
    def build() -> Any:  # noqa: ANN401 - Numba has no public type for it
        try:
            return numba.njit(cache=True, **_OPTIONS)(function)
        except RuntimeError:  # no place for a cache
            return numba.njit(**_OPTIONS)(function)

    @wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return build()(*args, **kwargs)
        except (pickle.UnpicklingError, EOFError):  # a file of the cache was cut, as by power loss
            build().recompile()
            return build()(*args, **kwargs)

    return call


def inlined(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Return the function for use in compiled ones, which take its code in."""
    made = numba.njit(forceinline=True, **_OPTIONS)(function)
    return cast("Callable[Arguments, Result]", made)
