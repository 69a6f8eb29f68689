local function now_us()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- Epochs and generations exceed what stood there, and what a rollback took away: they follow the clock.
-- tostring() would round such numbers to 14 digits.
local function risen(...)
  return string.format('%.0f', math.max(now_us(), ...))
end
