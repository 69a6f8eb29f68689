-- The delays of a lane are stored as the server's time in microseconds, a space, and "ordinal-milliseconds" pairs; as
-- nothing where no message waits. How much is left of them is computed by who claims (core/delays.py).
local function stamped(delays)
  return string.format('%.0f ', now_us()) .. delays
end

-- How many milliseconds ago the delays of a lane were stored. After a clock was set back they count from now on.
local function delayed_for(lanes, group, lane)
  local at, delays = lane.delays:match('^(%d+) (.*)$')
  if not at then return 0 end
  local now = now_us()
  if now < tonumber(at) then change_lane(lanes, group, lane, {delays = stamped(delays)}) end
  return math.floor((now - tonumber(at)) / 1000)
end
