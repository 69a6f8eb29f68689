#!lua
-- Without allow-oom: it appends.
--@include ids
--@include clock
--@include log
--@include partition
--@include lane
--@include delays
--@include history
local MOVES = #ARGV + 1 -- none are carried along
--@include settle
--@include retention
--@include mirror
local log_key, meta, lanes = KEYS[1], KEYS[2], KEYS[3]
local there = {log = KEYS[7], meta = KEYS[8], lanes = KEYS[9]}
local group, member, epoch, number = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local progress = {
  offset = ARGV[5], read = ARGV[6], ranges = ARGV[7], attempts = ARGV[8], trying = ARGV[9], delays = ARGV[10],
}
local capacity, layout, overflow, width = tonumber(ARGV[11]), ARGV[12], ARGV[13], tonumber(ARGV[14])
local RECORDS = 15 -- where they begin, as in append.lua

-- Room for the batch, made by trimming only when the limit is met; or why there is none.
local function refusal(count)
  if not find_partition(there.meta, there.log) then return {'Gone'} end
  local stored, sealed = unpack(redis.call('HMGET', there.meta, 'layout', 'sealed'))
  if stored ~= layout then return {'Moved', stored} end
  if sealed then return {'Sealed', sealed} end
  local log = look(there.log)
  local excess = log.length + count - capacity
  if excess <= 0 then return nil end
  local least, groups = slowest(there.lanes)
  local free = trimmable(log, least)
  if excess > free and overflow ~= 'drop_oldest' then
    return {'Full', least and log.added - least or log.length, unpack(groups)}
  end
  return nil, log, excess <= free and free or excess
end

local lane = read_lane(meta, log_key, lanes, group)
if not lane then return {'Gone'} end
if lane.owner ~= member or lane.epoch ~= epoch then return {'Fenced', lane.owner, lane.epoch} end
local known = tonumber(number) <= tonumber(lane.number)
local refused, log, free
if not known then
  refused, log, free = refusal((#ARGV - RECORDS + 1) / width)
  if refused then return refused end
end
local reply = settle(log_key, lanes, group, lane, number, progress)
if reply[1] ~= 'Committed' then return reply end
if not known then
  if free then drop_first(there.log, log, free) end
  local id = '*'
  for i = RECORDS, #ARGV, width do
    if width == 2 or ARGV[i + 2] == '' then
      id = redis.call('XADD', there.log, id, 'k', ARGV[i], 'd', ARGV[i + 1])
    else
      id = redis.call('XADD', there.log, id, 'k', ARGV[i], 'd', ARGV[i + 1], 'h', ARGV[i + 2])
    end
    id = id:match('^%d+') .. '-*'
  end
  mirror(log_key, group, lane)
end
return {'Forwarded'}
