"""What a member wishes of its group's document: it follows from what the member knows, and from nothing before."""

from __future__ import annotations

from segmenter.core import group as doc
from segmenter.core.member import Member
from segmenter.core.transitions import Standing

__all__ = ["wish_of"]


def wish_of(member: Member, now: float) -> doc.GroupEvent | None:
    """Return the next change of the document that a member wants; ``None`` if it wants none."""
    match member.standing:
        case Standing.JOINING:
            return doc.Joined(member.me, member.seat, member.immediate, member.process)
        case Standing.LEAVING:
            drained = doc.Left(member.me) if member.idle else None
            return drained if member.document.members[member.me].leaving else doc.Leaving(member.me, member.forever)
        case Standing.STABLE:
            return _of_a_stable(member, now)
        case _:
            return None


def _of_a_stable(member: Member, now: float) -> doc.GroupEvent | None:
    document = member.document
    if any(name in document.members for name in member.silent.members):
        return doc.Expired(member.silent.members)
    if member.behind > document.generation and not member.loading:
        return doc.CaughtUp(member.behind)
    if overdue := member.overdue(now):
        return doc.Vacated(overdue)
    return doc.Balanced() if not document.balanced and now >= member.balance_at else None
