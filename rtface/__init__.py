"""rtface watches live video and says who is there.

>>> import rtface
>>> with rtface.open(gallery="family.db") as system:  # doctest: +SKIP
...     system.enroll("Ada", "pictures/ada")
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtface.system import System as System
    from rtface.system import open_system as open

__version__ = "0.1.0"
__all__ = ["System", "__version__", "open"]


def __getattr__(name: str) -> object:
    """Loads the API when it is asked for, so that ``rtface --help`` stays quick."""
    if name in ("open", "System"):
        from rtface import system

        return system.open_system if name == "open" else system.System
    raise AttributeError(f"module 'rtface' has no attribute {name!r}")
