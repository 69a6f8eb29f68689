#!lua flags=allow-oom
--@include ids
--@include clock
--@include log
--@include partition
--@include lane
--@include delays
--@include history
--@include places
--@include aside
local MOVES = 11 -- where they begin, if there are any
--@include settle
--@include mirror
local log_key, meta, lanes = KEYS[1], KEYS[2], KEYS[3]
local group, member, epoch, number = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local progress = {
  offset = ARGV[5], read = ARGV[6], ranges = ARGV[7], attempts = ARGV[8], trying = ARGV[9], delays = ARGV[10],
}

local lane = read_lane(meta, log_key, lanes, group)
if not lane then return {'Gone'} end
if lane.owner ~= member or lane.epoch ~= epoch then return {'Fenced', lane.owner, lane.epoch} end
local reply = settle(log_key, lanes, group, lane, number, progress)
mirror(log_key, group, lane)
return reply
