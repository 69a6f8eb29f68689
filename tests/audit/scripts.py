"""The audit: scripts that write down, in the step in which they do something, what they were asked and answered.

They are the library's own scripts with a frame around each, so that nothing of this is in the library. A record stands
behind the ones before it because the server put it there: no clock is compared. ``dropped`` says of each how many
entries had been trimmed from the log when it was done.
"""

from __future__ import annotations

from collections.abc import Mapping

from segmenter_redis.scripts import SCRIPTS, Script

__all__ = ["AUDITED", "UNFENCED", "audit_key"]

_KEPT = ("append", "claim", "commit", "create_lane", "create_partition", "release", "trim")
_FRAME = """\
{flags}
local function whole()
{body}
end
local reply = whole()
local time = redis.call('TIME')
local dropped = 0
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  local about = {{}}
  for i = 1, #info, 2 do about[info[i]] = info[i + 1] end
  dropped = about['entries-added'] - about['length']
end
local replication = redis.pcall('INFO', 'replication')
local history = type(replication) == 'string' and replication:match('master_replid:(%w+)')
local record = {{'{name}', time[1] .. '.' .. time[2], ARGV, reply, dropped, history or ''}}
redis.call('RPUSH', (KEYS[1]:gsub(':log$', ':audit')), cjson.encode(record))
return reply
"""


def _framed(name: str, script: Script) -> Script:
    flags, _, body = script.text.partition("\n")
    return Script.of(_FRAME.format(flags=flags, body=body, name=name))


AUDITED: Mapping[str, Script] = {
    name: _framed(name, script) if name in _KEPT else script for name, script in SCRIPTS.items()
}

_FENCE = "if lane.owner ~= member or lane.epoch ~= epoch then return {'Fenced', lane.owner, lane.epoch} end\n"
# What chaos has to notice: a commit that anybody may make.
UNFENCED: Mapping[str, Script] = {
    **AUDITED,
    "commit": _framed("commit", Script.of(SCRIPTS["commit"].text.replace(_FENCE, ""))),
}


def audit_key(namespace: str, stream: str, partition: int) -> str:
    """Where the records of a partition stand, in the slot of the partition."""
    return f"{{{namespace}:{stream}:{partition}}}:audit"
