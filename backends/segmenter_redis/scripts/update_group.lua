#!lua flags=allow-oom
--@include clock
--@include document
local document, beats, events = KEYS[1], KEYS[2], KEYS[3]
local expect, version, floor, body, limit_events, silent_below =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])

-- What follows are three lists, each after its length: members to expire, members, fields of the event.
local at = 7
local function list()
  local length = tonumber(ARGV[at])
  local items = {}
  for i = 1, length do items[i] = ARGV[at + i] end
  at = at + length + 1
  return items
end
local silent, members, event = list(), list(), list()

local stored = read_document(document)
if stored and stored[1] == version then return {'GroupUpdated', stored[2]} end -- it went through the first time
if (stored and stored[1] or '') ~= expect then
  if not stored then return {'GroupConflict'} end
  return {'GroupConflict', stored[1], stored[2], stored[3]}
end

local count = tonumber(redis.call('HGET', document, 'beats') or 0)
for _, member in ipairs(silent) do
  local score = tonumber(redis.call('ZSCORE', beats, member) or 0)
  -- Beats below the number that was answered to the writer have been rolled back: no evidence of silence.
  if count < silent_below or score >= silent_below then return {'StillAlive', member} end
end

local generation = risen(tonumber(stored and stored[2] or 0) + 1, tonumber(floor) + 1)

-- Who enters gets a beat of its own, who leaves loses his: a late beat revives nobody.
local gone = {}
for _, member in ipairs(redis.call('ZRANGE', beats, 0, -1)) do gone[member] = true end
for _, member in ipairs(members) do
  if not gone[member] then
    count = count + 1
    redis.call('ZADD', beats, count, member)
  end
  gone[member] = nil
end
for member in pairs(gone) do redis.call('ZREM', beats, member) end

redis.call('HSET', document, 'version', version, 'generation', generation, 'body', body, 'beats', count)
for i = 1, #event, 2 do
  if event[i] == 'g' then event[i + 1] = generation end
end
redis.call('XADD', events, 'MAXLEN', '=', limit_events, '*', unpack(event))
return {'GroupUpdated', generation}
