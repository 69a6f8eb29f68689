-- Take a dead letter away, if it still is one; in its place, another message may lie.
local function take_dead(key, field, id)
  local letter = redis.call('HGET', key, field)
  return letter and id_of(letter) == id and redis.call('HDEL', key, field) == 1
end
