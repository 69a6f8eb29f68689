-- Both ends of a log. One that was never appended to does not exist, and counts nothing.
local function look(key)
  local log = {length = 0, added = 0, last = '0-0'}
  if redis.call('EXISTS', key) == 1 then
    local info = redis.call('XINFO', 'STREAM', key)
    for i = 1, #info, 2 do
      if info[i] == 'length' then log.length = info[i + 1] end
      if info[i] == 'entries-added' then log.added = info[i + 1] end
      if info[i] == 'last-generated-id' then log.last = info[i + 1] end
    end
  end
  log.first = log.added - log.length
  return log
end
