"""Strongly connected components of a graph whose nodes are numbers (Tarjan 1972, without recursion)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["Ways", "components"]

Ways = Sequence[Sequence[tuple[int, str]]]  # of each state: to, and what is bound to happen


def components(ways: Ways) -> Iterator[list[int]]:
    """Each component once, those that can be reached before those from which they can."""
    search = _Search(ways)
    for root in range(len(ways)):
        if search.low[root] < 0:
            yield from search.from_root(root)


class _Search:
    def __init__(self, ways: Ways) -> None:
        self.low = [-1] * len(ways)  # below a node's own number if there is a way back to an earlier one
        self._ways = ways
        self._count = 0
        self._open: list[int] = []  # whose component is not known yet
        self._path: list[tuple[int, int, Iterator[tuple[int, str]]]] = []  # node, its number, where it leads

    def from_root(self, root: int) -> Iterator[list[int]]:
        self._enter(root)
        while self._path:
            here, number, leads = self._path[-1]
            for to, _ in leads:
                if self.low[to] < 0:
                    self._enter(to)
                    break
                self.low[here] = min(self.low[here], self.low[to])
            else:
                self._path.pop()
                if self._path:
                    before = self._path[-1][0]
                    self.low[before] = min(self.low[before], self.low[here])
                if self.low[here] == number:
                    yield self._close(here)

    def _enter(self, node: int) -> None:
        self.low[node] = self._count
        self._path.append((node, self._count, iter(self._ways[node])))
        self._open.append(node)
        self._count += 1

    def _close(self, here: int) -> list[int]:
        component: list[int] = []
        while not component or component[-1] != here:
            component.append(self._open.pop())
            self.low[component[-1]] = len(self.low)  # above all numbers: it leads back to nobody any more
        return component
