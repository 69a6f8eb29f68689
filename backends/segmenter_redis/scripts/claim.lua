#!lua flags=allow-oom
--@include clock
--@include log
--@include partition
--@include lane
--@include delays
--@include history
--@include places
--@include aside
--@include clear
--@include suspicion
local log_key, meta, lanes, parked, dead, requests = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local group, member, generation, if_epoch, claim, evict, floor, window =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]

local lane = read_lane(meta, log_key, lanes, group)
if not lane then return {'Gone'} end
local log = look(log_key)
if lane.claim ~= claim then
  if tonumber(lane.generation) > tonumber(generation) then return {'Behind', lane.generation} end
  if lane.epoch ~= if_epoch then return {'Changed', lane.owner, lane.epoch} end
  local others = lane.owner ~= '' and lane.owner ~= member
  if others and lane.owner ~= evict then return {'Held', lane.owner, lane.epoch} end
  if others then change_lane(lanes, group, lane, suspicion(lane, log, window)) end
  local epoch = risen(tonumber(lane.epoch) + 1, tonumber(floor) + 1)
  change_lane(lanes, group, lane, {
    owner = member, epoch = epoch, generation = generation, claim = claim, history = history(), number = '0',
    trying = '-1',
  })
end
-- A log that lost its end counts on from less.
if clear(parked, log.added) then change_lane(lanes, group, lane, {attempts = '', delays = ''}) end
local elapsed = delayed_for(lanes, group, lane)
local reply = {
  'Claimed', lane.epoch, lane.offset, lane.read, lane.ranges, lane.attempts, lane.trying, lane.delays, elapsed,
  log.last, log.first, log.added, lane.incarnation, lane.unclean, lane.horizon, redis.call('HLEN', dead),
}
add_pairs(reply, parked_keys(parked))
add_pairs(reply, redis.call('HGETALL', requests))
return reply
