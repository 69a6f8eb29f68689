-- The law shared by Commit and Release, once the lane is known to be the caller's.
local function settle(log_key, lanes, group, lane, number, progress)
  if lane.history ~= history() then return {'RolledBack'} end
  if tonumber(number) <= tonumber(lane.number) then return {'Committed'} end
  local last = look(log_key).last
  if later(progress.offset, last) then return {'Truncated', last} end
  progress.number = number
  if lane.unclean ~= '0' and tonumber(progress.read) >= tonumber(lane.horizon) then
    progress.unclean, progress.horizon = '0', '0'
  end
  change_lane(lanes, group, lane, progress)
  if MOVES and KEYS[6] then move(KEYS[4], KEYS[5], KEYS[6], MOVES) end
  return {'Committed'}
end
