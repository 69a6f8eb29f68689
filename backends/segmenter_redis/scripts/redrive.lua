#!lua flags=allow-oom
--@include partition
--@include lane
--@include places
local log_key, meta, lanes, parked, requests = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local LIMIT_TOKEN = 200
local group, request, token, one_key, key = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5]

if not read_lane(meta, log_key, lanes, group) then return {'Gone'} end
local concerned = 0
for _, field in ipairs(redis.call('HKEYS', parked)) do
  if not one_key or key_of(field) == key then concerned = concerned + 1 end
end
if concerned > 0 then
  local standing = redis.call('HGET', requests, request)
  if not standing then
    redis.call('HSET', requests, request, token)
  elseif (standing .. '+'):sub(1, #token + 1) ~= token .. '+' then
    -- It may be an earlier one that comes late: who has carried that out must not take the other away.
    redis.call('HSET', requests, request, (token .. '+' .. standing):sub(1, LIMIT_TOKEN))
  end
end
return {'Requested', concerned}
