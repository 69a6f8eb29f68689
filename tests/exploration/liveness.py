"""What is bound to happen: once there are no more faults, everything is owned, handled and stored in the end.

A run goes on for ever only inside a strongly connected component of the graph. A component is *fair* if a run that
stays in it is weakly fair: whatever is bound to happen happens there again and again, or is again and again not
possible. So a fair component with a state that is not the goal is a run that never gets there for good; and since
such a run may visit all of its component, looking at the maximal ones is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from segmenter.core.transitions import Standing
from tests.exploration.components import Ways, components
from tests.exploration.draft import State
from tests.exploration.explorer import Explored, Found
from tests.exploration.holds import GROUP
from tests.exploration.process import Process

__all__ = ["check_liveness"]


def check_liveness(explored: Explored) -> None:
    """Look for a fair run without faults that never settles.

    Raises:
        Found: there is one; the story is its shortest stem and its cycle.
    """
    bad = []
    for component in components(explored.ways):
        if _fair(explored.ways, component):
            unsettled = [number for number in component if _missing(explored, explored.states[number])]
            bad += [(min(unsettled), component)] if unsettled else []
    if bad:
        state, component = min(bad)  # numbers rise with the distance from the beginning
        raise _found(explored, state, component)


def _found(explored: Explored, state: int, component: Sequence[int]) -> Found:
    stem = explored.story(state)
    cycle = [explored.label(origin, to) for origin, to in _cycle(explored.ways, component, state)]
    missing = _missing(explored, explored.states[state])
    how = f"lines {len(stem) + 1} to {len(stem) + len(cycle)} over and over" if cycle else "nothing more happens"
    return Found(explored.model.bounds, f"for ever, {missing}: {how}", [*stem, *cycle])


# --- the goal -------------------------------------------------------------------------------------------------------


def _missing(explored: Explored, state: State) -> str:
    """What is not as it should be in the end; nothing is asked where no process runs."""
    shelf, logs = explored.model.shelf, explored.model.bounds.logs
    processes: list[Process] = [shelf[part] for part in state.parts[1 + len(logs) :]]
    members = {process.member.me: process.member for process in processes if process.member is not None}
    document = shelf[state.parts[0]].document
    if not members:
        return ""
    if set(members) != set(document.members) or any(m.standing is not Standing.STABLE for m in members.values()):
        return f"{sorted(members)} run, and {sorted(document.members)} are members"
    for number, keys in enumerate(logs):
        lane = shelf[state.parts[1 + number]].lanes[GROUP.group]
        holders = {process.member.me for process in processes if process.member and process.held(number)}
        if holders != {lane.owner} or lane.owner != document.assignment[number]:
            return f"partition {number} is held by {sorted(holders)}, and {lane.owner} owns it"
        if lane.progress.read < len(keys):
            return f"{len(keys) - lane.progress.read} messages of partition {number} are not settled"
        if lane.aside.requests:
            return f"partition {number} has requests: {', '.join(request.what for request in lane.aside.requests)}"
    return ""


# --- runs that go on for ever ---------------------------------------------------------------------------------------


def _fair(ways: Ways, component: Sequence[int]) -> bool:
    inside = set(component)
    happens = {bound for number in component for to, bound in ways[number] if to in inside}
    pending = [{bound for _, bound in ways[number] if bound} for number in component]
    always = set.intersection(*pending)  # possible in every state of it
    return always <= happens


def _cycle(ways: Ways, component: Sequence[int], start: int) -> list[tuple[int, int]]:
    """A way around that is fair: for all that is always possible it does it, or comes by where it is not possible."""
    inside, here, walked = set(component), start, list[tuple[int, int]]()
    for bound in sorted({bound for number in component for _, bound in ways[number] if bound}):
        visited = [start, *(to for _, to in walked)]
        done = any((to, bound) in ways[origin] for origin, to in walked)
        if done or any(bound not in {other for _, other in ways[number]} for number in visited):
            continue
        walked += _walk(ways, inside, here, lambda origin, to, bound=bound: _heeds(ways, origin, to, bound))  # type: ignore[misc]
        here = walked[-1][1]
    if here != start or not walked:
        walked += _walk(ways, inside, here, lambda _, to: to == start)
    return walked


def _heeds(ways: Ways, origin: int, to: int, bound: str) -> bool:
    return (to, bound) in ways[origin] or all(bound != other for _, other in ways[to])


def _walk(ways: Ways, inside: set[int], start: int, until: Callable[[int, int], bool]) -> list[tuple[int, int]]:
    """The shortest walk within a component that ends with a step for which ``until`` holds; none if there is none."""
    came: dict[int, int] = {start: -1}
    for here in (queue := [start]):
        for to, _ in ways[here]:
            if to in inside and until(here, to):
                return [*_back(came, here), (here, to)]
            if to in inside and to not in came:
                came[to] = here
                queue.append(to)
    return []


def _back(came: dict[int, int], here: int) -> list[tuple[int, int]]:
    steps = []
    while came[here] >= 0:
        steps.append((came[here], here))
        here = came[here]
    return steps[::-1]
