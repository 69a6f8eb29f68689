#!lua flags=allow-oom
--@include clock
--@include log
--@include partition
--@include lane
--@include history
local log_key, meta, lanes = KEYS[1], KEYS[2], KEYS[3]
local group, member, generation, if_epoch, claim, evict, floor =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]

local lane = read_lane(meta, log_key, lanes, group)
if not lane then return {'Gone'} end
if lane.claim ~= claim then
  if tonumber(lane.generation) > tonumber(generation) then return {'Behind', lane.generation} end
  if lane.epoch ~= if_epoch then return {'Changed', lane.owner, lane.epoch} end
  if lane.owner ~= '' and lane.owner ~= member and lane.owner ~= evict then return {'Held', lane.owner, lane.epoch} end
  local epoch = risen(tonumber(lane.epoch) + 1, tonumber(floor) + 1)
  change_lane(lanes, group, lane, {
    owner = member, epoch = epoch, generation = generation, claim = claim, history = history(), number = '0',
  })
end
local log = look(log_key)
return {
  'Claimed', lane.epoch, lane.offset, lane.read, lane.ranges, lane.attempts, log.last, log.first, log.added,
  lane.incarnation,
}
