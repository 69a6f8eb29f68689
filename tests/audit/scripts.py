"""The audit: scripts that write down, in the step in which they do something, what they were asked and answered.

They are the library's own scripts with a frame around each, so that nothing of this is in the library. All that a
server does stands in one list of it, in the order in which it did it: no clock is compared. As a record is written by
the very step that it tells of, it comes and goes with the data: what a crash takes away, it takes away in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, cast

from segmenter_redis.scripts import SCRIPTS, Script

__all__ = ["AUDIT", "AUDITED", "OWN", "UNFENCED", "keep", "kept", "written"]

AUDIT = "audit"  # the list's key: a server of a test is no cluster, so it need not lie in the slot of any other

OWN: Mapping[str, Script] = dict(SCRIPTS)  # the library's

# The end of the record are both ends of the log, or of the group's events, that the script could have changed.
_FRAME = """\
{flags}
local function whole()
{body}
end
local reply = whole()
local about = {{}}
for _, key in ipairs(KEYS) do
  if key:match(':log$') or key:match(':events$') then
    local info = redis.pcall('XINFO', 'STREAM', key)
    about = {{}}
    for i = 1, #info, 2 do about[info[i]] = info[i + 1] end
  end
end
local log = {{about['entries-added'] or 0, about['length'] or 0, about['last-generated-id'] or '0-0'}}
local replication = redis.pcall('INFO', 'replication')
local history = type(replication) == 'string' and replication:match('master_replid:(%w+)') or ''
local record = {{'{name}', redis.call('TIME'), history, KEYS, ARGV, reply, log}}
redis.call('RPUSH', '{audit}', cjson.encode(record))
return reply
"""


def _framed(name: str, script: Script) -> Script:
    flags, _, body = script.text.partition("\n")
    return Script.of(_FRAME.format(flags=flags, body=body, name=name, audit=AUDIT))


AUDITED: Mapping[str, Script] = {name: _framed(name, script) for name, script in OWN.items()}

_FENCE = "if lane.owner ~= member or lane.epoch ~= epoch then return {'Fenced', lane.owner, lane.epoch} end\n"
# What has to be noticed: a commit that anybody may make.
UNFENCED: Mapping[str, Script] = {
    **AUDITED,
    "commit": _framed("commit", Script.of(OWN["commit"].text.replace(_FENCE, ""))),
}


def keep(scripts: Mapping[str, Script] = AUDITED) -> None:
    """Have every backend of this process execute these scripts, unless it is given others."""
    cast("MutableMapping[str, Script]", SCRIPTS).update(scripts)


@contextmanager
def kept(scripts: Mapping[str, Script] = AUDITED) -> Iterator[None]:
    """Have an audit kept by this process for a while."""
    keep(scripts)
    try:
        yield
    finally:
        keep(OWN)


def written(client: Any) -> list[bytes]:
    """Return what a server has written down, in its order."""
    lines: list[bytes] = client.lrange(AUDIT, 0, -1)
    return lines
