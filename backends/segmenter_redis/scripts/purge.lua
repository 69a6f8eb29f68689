#!lua flags=allow-oom
--@include partition
--@include lane
--@include places
--@include dead
local log_key, meta, lanes, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, all = ARGV[1], ARGV[2] == '1'

if not read_lane(meta, log_key, lanes, group) then return {'Gone'} end
local count = 0
if all then
  count = redis.call('HLEN', dead)
  redis.call('UNLINK', dead)
end
for i = 3, #ARGV, 2 do
  if take_dead(dead, ARGV[i], ARGV[i + 1]) then count = count + 1 end
end
return {'Purged', count}
