#!lua
-- Without allow-oom: it appends.
--@include partition
--@include lane
--@include places
--@include dead
local log_key, meta, lanes, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group = ARGV[1]

if not read_lane(meta, log_key, lanes, group) then return {'Gone'} end
local count, id = 0, '*'
for i = 2, #ARGV, 5 do
  -- Those that are not there any more were replayed by an earlier attempt, or purged.
  if take_dead(dead, ARGV[i], ARGV[i + 1]) then
    local key, data, headers = ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
    if headers == '' then
      id = redis.call('XADD', log_key, id, 'k', key, 'd', data)
    else
      id = redis.call('XADD', log_key, id, 'k', key, 'd', data, 'h', headers)
    end
    id = id:match('^%d+') .. '-*'
    count = count + 1
  end
end
return {'Replayed', count}
