#!lua flags=allow-oom
--@include clock
--@include log
--@include partition
--@include lane
local log_key, meta, lanes = KEYS[1], KEYS[2], KEYS[3]

if not find_partition(meta, log_key) then return {'Gone'} end
local log = look(log_key)
local reply = {'PartitionSurveyed', log.last, log.first, log.added, string.format('%.0f', now_us())}
for _, field in ipairs(redis.call('HKEYS', lanes)) do
  local group = field:match('^(.*):offset$')
  if group then
    local lane = read_lane(meta, log_key, lanes, group)
    local following = redis.call('XRANGE', log_key, '(' .. lane.offset, '+', 'COUNT', 1)
    local oldest = following[1] and following[1][1] or ''
    local beside = lanes:match('^(.*):lanes$') .. ':group:' .. group -- what is set aside, in the same slot
    local parked, dead = redis.call('HLEN', beside .. ':parked'), redis.call('HLEN', beside .. ':dead')
    local view = {
      group, lane.owner, lane.epoch, lane.offset, lane.read, lane.ranges, lane.attempts, lane.trying, lane.delays, oldest,
      parked, dead,
    }
    for _, item in ipairs(view) do reply[#reply + 1] = item end
  end
end
return reply
