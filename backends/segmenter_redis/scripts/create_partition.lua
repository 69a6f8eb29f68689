#!lua flags=allow-oom
local log, meta, producers, lanes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local format, incarnation, layout = ARGV[1], ARGV[2], ARGV[3]

local stands = redis.call('HGET', meta, 'incarnation')
if stands then return {'Exists', stands} end
-- Remains of one whose meta was lost are not ours to delete: they may hold messages.
if redis.call('EXISTS', log, producers, lanes) > 0 then return {'Exists', ''} end
redis.call('HSET', meta, 'format', format, 'incarnation', incarnation, 'layout', layout)
-- An empty log, so that one that is missing later is known to be lost.
redis.call('XGROUP', 'CREATE', log, 'made', '0', 'MKSTREAM')
redis.call('XGROUP', 'DESTROY', log, 'made')
return {'Created'}
