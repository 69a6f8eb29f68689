#!lua flags=allow-oom
--@include partition
--@include lane
local log_key, lanes, parked, dead, requests = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local group = ARGV[1]

redis.call('HDEL', lanes, unpack(lane_fields(group)))
redis.call('UNLINK', parked, dead, requests)
redis.pcall('XGROUP', 'DESTROY', log_key, group)
return {'Dropped'}
