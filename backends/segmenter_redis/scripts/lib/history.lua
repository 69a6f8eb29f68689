-- The server's history changes when it may have lost a suffix; empty where it may not be read.
local function history()
  local info = redis.pcall('INFO', 'replication')
  return type(info) == 'string' and info:match('master_replid:(%w+)') or ''
end
