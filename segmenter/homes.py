"""Names of a package that come from where they live when somebody first asks: so importing the package is quick."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["at_home"]


def at_home(
    package: dict[str, Any], homes: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return what a package needs as ``__getattr__`` and ``__dir__``.

    Args:
        package: its globals.
        homes: the names, and the modules that define them.
    """

    def look_up(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
        package[name] = getattr(import_module(homes[name]), name)
        return package[name]

    def names() -> list[str]:
        return sorted({*package, *package["__all__"]})

    return look_up, names
