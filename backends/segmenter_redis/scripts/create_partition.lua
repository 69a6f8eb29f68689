#!lua flags=allow-oom
local log, meta, producers, lanes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local format, incarnation, layout = ARGV[1], ARGV[2], ARGV[3]

if redis.call('EXISTS', meta) == 1 then return {'Exists'} end
-- Remains of one whose meta was lost belong to another incarnation.
redis.call('DEL', log, producers, lanes)
redis.call('HSET', meta, 'format', format, 'incarnation', incarnation, 'layout', layout)
return {'Created'}
