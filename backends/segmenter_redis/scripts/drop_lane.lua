#!lua flags=allow-oom
--@include partition
--@include lane
local log_key, lanes = KEYS[1], KEYS[2]
local group = ARGV[1]

redis.call('HDEL', lanes, unpack(lane_fields(group)))
redis.pcall('XGROUP', 'DESTROY', log_key, group)
return {'Dropped'}
