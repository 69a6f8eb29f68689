local function whole(number)
  return string.format('%.0f', number)
end

-- The attempts, "ordinal-count" in the order of ordinals, with one more of an ordinal.
local function tried(attempts, ordinal)
  local counts, ordinals, pairs_ = {[ordinal] = 1}, {ordinal}, {}
  for at, count in attempts:gmatch('(%-?%d+)-(%d+)') do
    if at ~= ordinal then ordinals[#ordinals + 1] = at end
    counts[at] = (counts[at] or 0) + count
  end
  table.sort(ordinals, function(a, b) return tonumber(a) < tonumber(b) end)
  for i, at in ipairs(ordinals) do pairs_[i] = at .. '-' .. whole(counts[at]) end
  return table.concat(pairs_, ',')
end

-- What an unclean end changes: one of the messages that were in flight, up to the horizon, may have been its cause.
local function suspicion(lane, log, window)
  local ahead = 0
  for first, beyond in lane.ranges:gmatch('(%d+)-(%d+)') do ahead = ahead + beyond - first end
  local horizon = math.min(log.added, lane.read + ahead + window)
  return {
    attempts = lane.trying == '-1' and lane.attempts or tried(lane.attempts, lane.trying),
    trying = '-1',
    unclean = whole(lane.unclean + 1),
    horizon = whole(math.max(tonumber(lane.horizon), horizon)),
  }
end
