-- The incarnation of a partition; nil where it was never created or has lost its log.
-- One that was made in format 1 has no log before its first message.
local function find_partition(meta, log_key)
  local stored = redis.call('HMGET', meta, 'incarnation', 'format')
  if stored[2] ~= '1' and redis.call('EXISTS', log_key) == 0 then return nil end
  return stored[1] or nil
end
