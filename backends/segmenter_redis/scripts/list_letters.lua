#!lua flags=allow-oom
--@include partition
--@include lane
--@include places
local log_key, meta, lanes, shelf = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, count, after, one_key, key = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1', ARGV[5]

if not read_lane(meta, log_key, lanes, group) then return {'Gone'} end
local total, behind = 0, {}
for _, field in ipairs(redis.call('HKEYS', shelf)) do
  if not one_key or key_of(field) == key then
    total = total + 1
    if not after or ordinal_of(field) > after then behind[#behind + 1] = field end
  end
end
table.sort(behind, function(a, b) return ordinal_of(a) < ordinal_of(b) end)

-- What has the ordinal of the last one, after a loss, would be left behind by the next page.
local function ties(i) return i > 1 and ordinal_of(behind[i]) == ordinal_of(behind[i - 1]) end

local reply = {'Letters', total}
for i = 1, #behind do
  if i > count and not (count > 0 and ties(i)) then break end
  reply[#reply + 1] = behind[i]
  reply[#reply + 1] = redis.call('HGET', shelf, behind[i])
end
return reply
