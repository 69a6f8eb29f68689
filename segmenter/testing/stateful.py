"""Made-up stories as tests of a backend: hypothesis asks it every command there is, in and out of season.

``BackendSuite`` asks what somebody has thought of, and says by its name what is wrong; these ask the rest. They need
pytest and hypothesis, of the extra ``testing``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import hypothesis
from hypothesis.stateful import get_state_machine_test

from segmenter.port import Backend
from segmenter.testing.agreement import OverPort, World
from segmenter.testing.machines import Agreement, GroupsAgree, LanesAgree, LogsAgree

__all__ = ["KINDS", "BackendMachine", "play"]

KINDS: tuple[type[Agreement], ...] = (LanesAgree, LogsAgree, GroupsAgree)


def play(
    world: World,
    seen: Counter[str],
    limits: hypothesis.settings,
    kinds: Sequence[type[Agreement]] = KINDS,
    *,
    seed: int | None = None,
    begin: Callable[[], object] = lambda: None,
) -> None:
    """Play the stories of machines in a world, counting the replies.

    Args:
        world: a backend beside the laws.
        seen: counts how often each reply came.
        limits: how many stories (``max_examples``) of how many commands (``stateful_step_count``).
        kinds: the machines.
        seed: plays the stories of this number.
        begin: called at the beginning of each story.

    Raises:
        Disagreement: the backend answers, or holds, something else than the law says; the shortest story is noted.
    """
    for kind in kinds:

        def machine(kind: type[Agreement] = kind) -> Agreement:
            begin()
            return kind(world, seen)

        test: Any = get_state_machine_test(machine, settings=limits)  # type: ignore[arg-type]
        if seed is not None:
            test = hypothesis.seed(seed)(test)
        test()


class BackendMachine:
    """Stories that nobody has thought of, asked of a backend and of the laws of the core: both must answer alike.

    After each command both must also hold the same, as far as surveys and logs show. A failure prints the shortest
    story that shows it.

    It takes the same fixture ``backend`` as ``BackendSuite``, so one class may inherit both; or two lines do:

        TestMine = BackendMachine.of(lambda: MyBackend("mine://"))

    Attributes:
        stories: how many are played in each test.
        steps: how many commands one has, about.
    """

    stories = 40
    steps = 40

    @classmethod
    def of(
        cls, make_backend: Callable[[], Backend], *, stories: int | None = None, steps: int | None = None
    ) -> type[BackendMachine]:
        """Return the tests of a backend, for pytest to find under the name that they are given.

        Args:
            make_backend: returns the backend; called once for each test.
            stories: in the place of 40.
            steps: in the place of 40.
        """
        import pytest  # noqa: PLC0415 - whoever only plays stories does without

        @pytest.fixture
        def backend(self: BackendMachine) -> Backend:
            return make_backend()

        limits = {"stories": stories or cls.stories, "steps": steps or cls.steps}
        return type(cls.__name__, (cls,), {"backend": backend, "__doc__": cls.__doc__, **limits})

    def world(self, backend: Backend, runner: asyncio.Runner) -> World:
        """Return the backend as it is looked at: through its port; override it to look deeper."""
        return OverPort(backend, runner)

    def test_ownership_and_progress_obey_the_laws(self, backend: Backend) -> None:
        """Claims, commits and releases of stale epochs and numbers, by members that come back from the dead."""
        self._play(backend, LanesAgree)

    def test_appending_and_trimming_obey_the_laws(self, backend: Backend) -> None:
        """Repeated batches, gaps, older and newer producers, in logs that are full."""
        self._play(backend, LogsAgree)

    def test_streams_and_groups_obey_the_laws(self, backend: Backend) -> None:
        """Stale versions, repeated writes, late beats, members that expire in the very moment in which they beat."""
        self._play(backend, GroupsAgree)

    def _play(self, backend: Backend, kind: type[Agreement]) -> None:
        limits = hypothesis.settings(
            max_examples=self.stories,
            stateful_step_count=self.steps,
            deadline=None,
            suppress_health_check=[hypothesis.HealthCheck.too_slow],
        )
        with asyncio.Runner() as runner, closing(self.world(backend, runner)) as world:
            play(world, Counter(), limits, [kind])
