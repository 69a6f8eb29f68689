#!lua flags=allow-oom
--@include document
local document, beats = KEYS[1], KEYS[2]

local stored = read_document(document)
if not stored then return {'Gone'} end
local count = tonumber(redis.call('HGET', document, 'beats') or 0)
local reply = {'GroupSurveyed', stored[1], stored[2], stored[3], count}
for _, item in ipairs(redis.call('ZRANGE', beats, 0, -1, 'WITHSCORES')) do reply[#reply + 1] = item end
return reply
