#!lua flags=allow-oom
--@include ids
--@include clock
--@include log
--@include partition
--@include lane
--@include history
--@include settle
--@include start
--@include mirror
local log_key, meta, lanes = KEYS[1], KEYS[2], KEYS[3]
local group, member, epoch, number, evict, start = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[9], ARGV[10]
local progress = {offset = ARGV[5], read = ARGV[6], ranges = ARGV[7], attempts = ARGV[8]}

local lane = read_lane(meta, log_key, lanes, group)
if not lane then return {'Gone'} end
local ended = lane.owner == '' or lane.owner == member or lane.owner == evict
if lane.epoch ~= epoch or not ended then return {'Fenced', lane.owner, lane.epoch} end
-- Progress that the law refuses is dropped: the partition is free in either case.
if lane.owner == member then settle(log_key, lanes, group, lane, number, progress) end
if start ~= '' then
  local offset, read = start_of(log_key, look(log_key), start)
  change_lane(lanes, group, lane, {offset = offset, read = read, ranges = '', attempts = ''})
end
-- The epoch rises even where nobody owned it, so that a claim still under way fails.
change_lane(lanes, group, lane, {owner = '', epoch = risen(tonumber(lane.epoch) + 1), claim = '', number = '0'})
mirror(log_key, group, lane)
return {'Released', lane.epoch}
