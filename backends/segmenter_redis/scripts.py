"""The Lua scripts: one for each command, under its name.

A line ``--@include name`` stands for the text of ``scripts/lib/name.lua``; that is all there is to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha1
from importlib.resources import files

from attrs import frozen

__all__ = ["SCRIPTS", "Script", "script_name"]

_FOLDER = files("segmenter_redis") / "scripts"
_INCLUDE = re.compile(r"^--@include (\w+)\n", re.MULTILINE)


@frozen
class Script:
    """A script and the name that Redis gives it."""

    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> Script:
        """Return the script of a text."""
        return cls(text, sha1(text.encode(), usedforsecurity=False).hexdigest())

    def plain(self) -> Script:
        """The same without its flags, for servers that know none."""
        return Script.of(self.text.partition("\n")[2])


def script_name(command: type) -> str:
    """Return the name of a command's script: ``CreateLane`` becomes ``create_lane``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", command.__name__).lower()


def _read(path: str) -> str:
    return (_FOLDER / path).read_text(encoding="utf-8")


def _load() -> dict[str, Script]:
    names = sorted(entry.name for entry in _FOLDER.iterdir() if entry.name.endswith(".lua"))
    texts = {name: _INCLUDE.sub(lambda match: _read(f"lib/{match[1]}.lua"), _read(name)) for name in names}
    return {name.removesuffix(".lua"): Script.of(text) for name, text in texts.items()}


SCRIPTS: Mapping[str, Script] = _load()
