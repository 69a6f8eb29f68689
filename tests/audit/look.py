"""What a server has written down, and a last look at what it holds: has anything been done past the audit?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from segmenter.core.command import Command, Crossing, GroupSlot, PartitionSlot, Slot, StreamSlot
from segmenter.core.layout import LoadStream
from segmenter.core.survey import SurveyGroup, SurveyPartition
from segmenter_redis.codec import decode, encode
from segmenter_redis.keys import Keys
from segmenter_redis.scripts import script_name
from tests.audit.replay import Asked, asked
from tests.audit.scripts import AUDIT, OWN, written

__all__ = ["heard"]

_KINDS: Mapping[type, Any] = {PartitionSlot: SurveyPartition, GroupSlot: SurveyGroup, StreamSlot: LoadStream}
_NAMES = [script_name(kind) for kind in _KINDS.values()]
_FUNCTIONS = "".join(f"looks.{name} = function(KEYS)\n{OWN[name].plain().text}\nend\n" for name in _NAMES)
# All in one step, and nothing of it is written down: a replica answers it, too, and a server whose memory is full.
_LOOK = f"""\
#!lua flags=no-writes,allow-oom,allow-stale
local looks = {{}}
{_FUNCTIONS}
local replies, at = {{redis.call('LRANGE', '{AUDIT}', ARGV[1], -1)}}, 0
for i = 2, #ARGV, 2 do
  local keys = {{}}
  for n = 1, ARGV[i + 1] do keys[n] = KEYS[at + n] end
  at = at + #keys
  replies[#replies + 1] = looks[ARGV[i]](keys)
end
return replies
"""


def heard(client: Any) -> tuple[list[Asked], list[Asked]]:
    """Return all that a server was asked, and a look at each slot that this was about."""
    done = list(asked(written(client)))
    places = dict.fromkeys(place for each in done for place in _places(each))
    looks = [(namespace, _KINDS[type(slot)](slot)) for namespace, slot in places]
    calls = [encode(look, Keys(namespace)) for namespace, look in looks]
    keys = [key for call in calls for key in call.keys]
    kinds = [word for call in calls for word in (call.script, len(call.keys))]
    meanwhile, *replies = client.eval(_LOOK, len(keys), *keys, len(done), *kinds)
    done += asked(meanwhile)
    return done, [_looked(*look, raw, done) for look, raw in zip(looks, replies, strict=True)]


def _places(each: Asked) -> Iterator[tuple[str, Slot]]:
    slot = each.command.slot
    for one in (slot.here, slot.there) if isinstance(slot, Crossing) else (slot,):
        yield each.namespace, one


def _looked(namespace: str, look: Command[Any, Any], raw: Any, done: list[Asked]) -> Asked:
    reply = decode(look, raw)
    return Asked(look, reply, getattr(reply, "now_us", done[-1].at_us), namespace=namespace)
