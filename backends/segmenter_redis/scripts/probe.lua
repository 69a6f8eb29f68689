#!lua flags=allow-oom
--@include log
--@include partition
--@include lane
--@include history
--@include aside
local log_key, meta, lanes, parked, dead, requests = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local group = ARGV[1]

local lane = read_lane(meta, log_key, lanes, group)
if not lane then return {'Gone'} end
local intact = lane.history == history() and 1 or 0
local log = look(log_key)
local reply = {
  'Probed', lane.owner, lane.epoch, intact, lane.offset, lane.read, lane.ranges, lane.attempts, lane.trying,
  log.last, log.first, log.added, lane.incarnation, redis.call('HLEN', parked), redis.call('HLEN', dead),
}
add_pairs(reply, redis.call('HGETALL', requests))
return reply
