-- With something parked from an ordinal on, where other messages will be, all that is parked goes below the ordinals of
-- any message, and keeps its order. Returns whether it did.
local function clear(parked, ordinal)
  local fields, last = redis.call('HKEYS', parked), LOWEST
  for _, field in ipairs(fields) do last = math.max(last, ordinal_of(field)) end
  if last < ordinal then return false end
  -- The lowest first: where it goes, nothing lies that has yet to go.
  table.sort(fields, function(a, b) return ordinal_of(a) < ordinal_of(b) end)
  for _, field in ipairs(fields) do
    local there = place(ordinal_of(field) - last + LOWEST - 1, key_of(field))
    redis.call('HSET', parked, there, redis.call('HGET', parked, field))
    redis.call('HDEL', parked, field)
  end
  return true
end
