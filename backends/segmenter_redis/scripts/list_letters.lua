#!lua flags=allow-oom
--@include partition
--@include lane
local log_key, meta, lanes, shelf = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, count, after, one_key, key = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1', ARGV[5]

if not read_lane(meta, log_key, lanes, group) then return {'Gone'} end
local total, behind = 0, {}
for _, field in ipairs(redis.call('HKEYS', shelf)) do
  local ordinal, of = field:match('^(%d+):(.*)$')
  if not one_key or of == key then
    total = total + 1
    if tonumber(ordinal) > after then behind[#behind + 1] = field end
  end
end
table.sort(behind, function(a, b) return tonumber(a:match('^%d+')) < tonumber(b:match('^%d+')) end)

local reply = {'Letters', total}
for i = 1, math.min(count, #behind) do
  reply[#reply + 1] = behind[i]
  reply[#reply + 1] = redis.call('HGET', shelf, behind[i])
end
return reply
