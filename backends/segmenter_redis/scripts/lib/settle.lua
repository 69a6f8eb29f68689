-- Whether a log ever had an entry at this id or behind it. One that is left tells it for less than the ends of the log,
-- whose entries a script copies: 180 us if they have 64 KB. None is left if all was trimmed.
local function reaches(log_key, id)
  return #redis.call('XRANGE', log_key, id, '+', 'COUNT', 1) > 0 or not later(id, look(log_key).last)
end

-- The law shared by Commit and Release, once the lane is known to be the caller's.
local function settle(log_key, lanes, group, lane, number, progress)
  if lane.history ~= history() then return {'RolledBack'} end
  if tonumber(number) <= tonumber(lane.number) then return {'Committed'} end
  if not reaches(log_key, progress.offset) then return {'Truncated', look(log_key).last} end
  progress.number = number
  if progress.delays ~= '' then
    progress.delays = stamped(progress.delays)
  elseif lane.delays == '' then
    progress.delays = nil -- as it is
  end
  if ARGV[MOVES] then move(KEYS[4], KEYS[5], KEYS[6], MOVES) end
  local passed = tonumber(progress.read) >= tonumber(lane.horizon)
  if lane.unclean ~= '0' and passed and redis.call('HLEN', KEYS[6]) == 0 then
    progress.unclean, progress.horizon = '0', '0'
  end
  change_lane(lanes, group, lane, progress)
  return {'Committed'}
end
