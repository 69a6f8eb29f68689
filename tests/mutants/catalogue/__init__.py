"""The mutants: each takes one safeguard out of the code, and names the check that must notice.

What the core and the scripts of Redis say in common has a mutant in both.
"""

from __future__ import annotations

from tests.mutants.catalogue.aside import ASIDE
from tests.mutants.catalogue.delays import DELAYS
from tests.mutants.catalogue.losses import LOSSES
from tests.mutants.catalogue.membership import MEMBERSHIP
from tests.mutants.catalogue.ownership import OWNERSHIP
from tests.mutants.catalogue.progress import PROGRESS
from tests.mutants.catalogue.retention import RETENTION
from tests.mutants.catalogue.sending import SENDING
from tests.mutants.catalogue.threads import THREADS
from tests.mutants.catalogue.user_code import USER_CODE
from tests.mutants.catalogue.workers import WORKERS
from tests.mutants.mutant import Mutant

__all__ = ["MUTANTS"]

MUTANTS: tuple[Mutant, ...] = (
    *OWNERSHIP,
    *PROGRESS,
    *MEMBERSHIP,
    *SENDING,
    *RETENTION,
    *LOSSES,
    *ASIDE,
    *DELAYS,
    *WORKERS,
    *THREADS,
    *USER_CODE,
)
