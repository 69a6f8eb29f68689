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
--@include clear
--@include suspicion
local MOVES = 14 -- where they begin, if there are any
--@include settle
--@include start
--@include mirror
local log_key, meta, lanes, parked = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, member, epoch, number = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local progress = {
  offset = ARGV[5], read = ARGV[6], ranges = ARGV[7], attempts = ARGV[8], trying = ARGV[9], delays = ARGV[10],
}
local evict, start, window = ARGV[11], ARGV[12], tonumber(ARGV[13])

-- What is parked and in the log behind an id will be read once more.
local function unpark_behind(offset)
  for _, field in ipairs(redis.call('HKEYS', parked)) do
    local id = id_of(redis.call('HGET', parked, field))
    if later(id, offset) and redis.call('XRANGE', log_key, id, id)[1] then redis.call('HDEL', parked, field) end
  end
end

local lane = read_lane(meta, log_key, lanes, group)
if not lane then return {'Gone'} end
local ended = lane.owner == '' or lane.owner == member or lane.owner == evict
if lane.epoch ~= epoch or not ended then return {'Fenced', lane.owner, lane.epoch} end
-- Progress that the law refuses is dropped: the partition is free in either case.
if lane.owner == member then settle(log_key, lanes, group, lane, number, progress) end
if window > 0 then change_lane(lanes, group, lane, suspicion(lane, look(log_key), window)) end
if start ~= '' then
  local offset, read = start_of(log_key, look(log_key), start)
  change_lane(lanes, group, lane, {
    offset = offset, read = read, ranges = '', attempts = '', delays = '', trying = '-1', unclean = '0', horizon = '0',
  })
  unpark_behind(offset)
  clear(parked, tonumber(read))
end
-- The epoch rises even where nobody owned it, so that a claim still under way fails.
change_lane(lanes, group, lane, {owner = '', epoch = risen(tonumber(lane.epoch) + 1), claim = '', number = '0'})
mirror(log_key, group, lane)
return {'Released', lane.epoch}
