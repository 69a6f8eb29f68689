-- The law shared by Commit and Release, once the lane is known to be the caller's.
local function settle(log_key, lanes, group, lane, number, progress)
  if lane.history ~= history() then return {'RolledBack'} end
  if tonumber(number) <= tonumber(lane.number) then return {'Committed'} end
  local last = look(log_key).last
  if later(progress.offset, last) then return {'Truncated', last} end
  progress.number = number
  change_lane(lanes, group, lane, progress)
  return {'Committed'}
end
