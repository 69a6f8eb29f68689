#!lua flags=allow-oom
--@include log
--@include partition
--@include lane
--@include history
local log_key, meta, lanes = KEYS[1], KEYS[2], KEYS[3]
local group = ARGV[1]

local lane = read_lane(meta, log_key, lanes, group)
if not lane then return {'Gone'} end
local intact = lane.history == history() and 1 or 0
local log = look(log_key)
return {
  'Probed', lane.owner, lane.epoch, intact, lane.offset, lane.read, lane.ranges, lane.attempts,
  log.last, log.first, log.added, lane.incarnation,
}
