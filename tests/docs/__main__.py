"""``python -m tests.docs`` builds the site; with ``--write`` the generated pages are written anew before."""

from __future__ import annotations

import sys

from tests.docs.generated import write
from tests.docs.site import build


def main() -> int:
    if "--write" in sys.argv[1:]:
        write()
    built = build()
    print(built.stdout, built.stderr, sep="", end="")
    return built.returncode


if __name__ == "__main__":
    sys.exit(main())
