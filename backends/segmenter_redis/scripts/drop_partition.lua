#!lua flags=allow-oom
local log, meta, producers, lanes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- Which groups there are is known here alone; what they have set aside lies beside their lanes, in the same slot.
local partition = lanes:match('^(.*):lanes$')
for _, field in ipairs(redis.call('HKEYS', lanes)) do
  local group = field:match('^(.*):read$')
  if group then
    for _, shelf in ipairs({'parked', 'dead', 'requests'}) do
      redis.call('UNLINK', string.format('%s:group:%s:%s', partition, group, shelf))
    end
  end
end
redis.call('UNLINK', log, meta, producers, lanes)
return {'Dropped'}
