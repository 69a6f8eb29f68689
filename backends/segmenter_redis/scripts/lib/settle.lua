-- The law shared by Commit and Release, once the lane is known to be the caller's.
local function settle(log_key, lanes, group, lane, number, progress)
  if lane.history ~= history() then return {'RolledBack'} end
  if tonumber(number) <= tonumber(lane.number) then return {'Committed'} end
  local last = look(log_key).last
  if later(progress.offset, last) then return {'Truncated', last} end
  progress.number = number
  if ARGV[MOVES] then move(KEYS[4], KEYS[5], KEYS[6], MOVES) end
  local passed = tonumber(progress.read) >= tonumber(lane.horizon)
  if lane.unclean ~= '0' and passed and redis.call('HLEN', KEYS[6]) == 0 then
    progress.unclean, progress.horizon = '0', '0'
  end
  change_lane(lanes, group, lane, progress)
  return {'Committed'}
end
