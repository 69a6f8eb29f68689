#!lua flags=allow-oom
--@include partition
--@include lane
local log_key, meta, lanes, parked, requests = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local group, request, token, one_key, key = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5]

if not read_lane(meta, log_key, lanes, group) then return {'Gone'} end
local concerned = 0
for _, field in ipairs(redis.call('HKEYS', parked)) do
  if not one_key or field:match('^%d+:(.*)$') == key then concerned = concerned + 1 end
end
if concerned > 0 then redis.call('HSET', requests, request, token) end
return {'Requested', concerned}
