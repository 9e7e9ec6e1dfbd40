"""The compiled build of the hot path (`hatch_build.py`)."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr as mypyc_attr
else:

    def mypyc_attr(**options):
        """Do nothing: mypyc reads these options of a class, and nothing else does."""
        return lambda kind: kind


_LIBRARY = "pyfork.http.compiled__mypyc"


def is_compiled() -> bool:
    """Whether this installation has the modules as C extensions for this interpreter."""
    return find_spec(_LIBRARY) is not None
