#!lua
-- Without allow-oom: memory that is full pushes back on producers, while consumers go on committing and trimming.
--@include log
--@include retention
local log_key, meta, producers, lanes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local producer, epoch, first = ARGV[1], ARGV[2], ARGV[3]
local capacity, layout, overflow, forget_ms, limit_producers, durable, width =
  tonumber(ARGV[4]), ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9] == '1', tonumber(ARGV[10])
local RECORDS = 11 -- where they begin: each `width` arguments, a key and data, and headers where any record has them
local count = (#ARGV - RECORDS + 1) / width
local call, argv = redis.call, ARGV -- looked up once for the whole batch

-- Where partition.lua would look twice, this looks once: a small batch is made of little else.
local incarnation, format, layout_stored, sealed =
  unpack(call('HMGET', meta, 'incarnation', 'format', 'layout', 'sealed'))
local length = call('XLEN', log_key)
local made = length > 0 or format == '1' or call('EXISTS', log_key) == 1
if not (incarnation and made) then return {'Gone'} end

local known_epoch, known_last = nil, nil
local known = call('HGET', producers, producer)
if known then
  local known_first, known_count, first_id, last_id
  known_epoch, known_first, known_count, first_id, last_id = known:match('^(%d+) (%d+) (%d+) (%S+) (%S+)')
  if known_epoch == epoch and known_first == first and tonumber(known_count) == count then
    -- WAIT counts from the last write of its connection, and the batch may have come over an earlier one.
    if durable then call('HSET', producers, producer, known) end
    return {'Duplicate', first_id, last_id}
  end
  known_last = known_epoch == epoch and known_first + known_count - 1 or 0
end
if layout_stored ~= layout then return {'Moved', layout_stored} end
if sealed then return {'Sealed', sealed} end
if not known then
  if first ~= '1' then return {'UnknownProducer'} end
else
  if tonumber(epoch) < tonumber(known_epoch) then return {'Superseded', known_epoch} end
  if tonumber(first) ~= known_last + 1 then return {'OutOfSequence', known_last} end
end

if length + count > capacity then
  local log = look(log_key)
  local excess = log.length + count - capacity
  local least, groups = slowest(lanes)
  local free = trimmable(log, least)
  if excess <= free then
    drop_first(log_key, log, free)
  elseif overflow == 'drop_oldest' then
    drop_first(log_key, log, excess)
  else
    -- Which of the slowest comes first is left to the client: Lua compares strings by the server's locale.
    return {'Full', least and log.added - least or log.length, unpack(groups)}
  end
end

local time = call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

-- '*' never goes below the last id, even if the clock went back; the rest of the batch stands in the same millisecond.
local id, first_id, last_id = '*', nil, nil
for i = RECORDS, #argv, width do
  if width == 2 or argv[i + 2] == '' then
    last_id = call('XADD', log_key, id, 'k', argv[i], 'd', argv[i + 1])
  else
    last_id = call('XADD', log_key, id, 'k', argv[i], 'd', argv[i + 1], 'h', argv[i + 2])
  end
  if not first_id then first_id, id = last_id, last_id:match('^%d+') .. '-*' end
end

call('HSET', producers, producer,
  string.format('%s %s %d %s %s %.0f', epoch, first, count, first_id, last_id, now_ms))
if call('HLEN', producers) > limit_producers then
  local all = call('HGETALL', producers)
  for i = 1, #all, 2 do
    local seen_ms = tonumber(all[i + 1]:match('(%d+)$'))
    if seen_ms < now_ms - forget_ms then call('HDEL', producers, all[i]) end
  end
end
return {'Appended', first_id, last_id}
