"""``make bench``: the first pair of questions, with progress."""

from __future__ import annotations

from rich.console import Console

from bench import blocking, consume, produce
from bench.measure import own_server, run, show


def main() -> None:
    talk = Console(stderr=True)
    with own_server() as url:
        show([run(contest, url, talk) for contest in (*produce.contest, *consume.contest, *blocking.contest)])


if __name__ == "__main__":
    main()
