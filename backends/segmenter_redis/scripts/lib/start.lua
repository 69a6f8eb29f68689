local SCAN = 1000

-- How many entries have an id of at most `id`, and the id of the last of them. Redis has no such count, so they are
-- looked through; this happens only when an operator names an id or a time.
local function count_until(key, id)
  local count, found, from = 0, '0-0', '-'
  repeat
    local entries = redis.call('XRANGE', key, from, id, 'COUNT', SCAN)
    count = count + #entries
    if #entries > 0 then
      found = entries[#entries][1]
      from = '(' .. found
    end
  until #entries < SCAN
  return count, found
end

-- Where a group begins: 'earliest', 'latest', or an id: what comes after it is read.
local function start_of(key, log, start)
  if start == 'latest' then return log.last, log.added end
  if start == 'earliest' or log.length == 0 then return '0-0', log.first end
  if not later(log.last, start) then return log.last, log.added end
  local count, found = count_until(key, start)
  return found, log.first + count
end
