-- Ids are two 64-bit integers. Neither fits a Lua number, so decimals are compared: the longer one is the greater.
local function greater(a, b)
  if #a ~= #b then return #a > #b end
  return a > b
end

local function later(a, b)
  local a_ms, a_seq = a:match('^0*(%d*)-?0*(%d*)$')
  local b_ms, b_seq = b:match('^0*(%d*)-?0*(%d*)$')
  if a_ms ~= b_ms then return greater(a_ms, b_ms) end
  return greater(a_seq, b_seq)
end
