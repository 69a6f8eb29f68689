-- The ordinal up to which the slowest group has settled, and all groups that stand there; nil while there is no group.
local function slowest(lanes)
  local least, groups = nil, {}
  local fields = redis.call('HGETALL', lanes)
  for i = 1, #fields, 2 do
    local group = fields[i]:match('^(.*):read$')
    if group then
      local read = tonumber(fields[i + 1])
      if not least or read < least then
        least, groups = read, {}
      end
      if read == least then groups[#groups + 1] = group end
    end
  end
  return least, groups
end

-- How many of the oldest entries every group has settled; none while there is no group.
local function trimmable(log, least)
  return least and math.max(0, least - log.first) or 0
end

local function drop_first(key, log, count)
  if count > 0 then redis.call('XTRIM', key, 'MAXLEN', '=', math.max(0, log.length - count)) end
end
