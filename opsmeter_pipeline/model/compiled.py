"""Python functions as machine code, compiled by Numba when they are first called.

For loops over bytes or rows that no library has. A loop, all it calls and its constants stand in
one module, because Numba sees by that module's file alone whether compiled code is outdated; what
comes from elsewhere is an argument. The three functions at the end are the exception: who changes
one deletes what is kept. Compiled code only borrows its arrays: it makes none and returns none.
"""

import pickle
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar, cast

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
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


def _byte_at(_typing: Any, text: Any, position: Any) -> Any:  # noqa: ANN401 - Numba's own objects
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ANN401
        return builder.load(_point_to(context, builder, signature, values))

    return types.uint8(text, position), generate


def _word_at(_typing: Any, text: Any, position: Any) -> Any:  # noqa: ANN401
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ANN401
        return builder.load(_point_to_word(context, builder, signature, values), align=1)

    return types.uint64(text, position), generate


def _put_word(_typing: Any, text: Any, position: Any, word: Any) -> Any:  # noqa: ANN401, ARG001
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ANN401
        builder.store(values[2], _point_to_word(context, builder, signature, values), align=1)
        return context.get_dummy_value()

    return types.void(text, position, types.uint64), generate


def _point_to(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ANN401
    memory = context.make_array(signature.args[0])(context, builder, values[0]).data
    return builder.gep(memory, [values[1]])


def _point_to_word(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ANN401
    word = context.get_value_type(types.uint64)
    return builder.bitcast(_point_to(context, builder, signature, values), word.as_pointer())


# Numba asks of an array's index whether it is negative, each time: a fifth of the time of a loop
# over bytes. These do not ask, and read 8 bytes wherever they begin.
byte_at = cast("Callable[[Bytes, int], int]", intrinsic(_byte_at))
"""In compiled functions, the byte of a text at a position, which must be there."""
word_at = cast("Callable[[Bytes, int], np.uint64]", intrinsic(_word_at))
"""In compiled functions, the 8 bytes of a text from a position on, which must be there."""
put_word = cast("Callable[[Bytes, int, np.uint64], None]", intrinsic(_put_word))
"""In compiled functions, to write 8 bytes to a text from a position on; there must be room."""
