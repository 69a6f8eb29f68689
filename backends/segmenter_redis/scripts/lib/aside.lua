-- What a lane has set aside.
local function put_letters(key, at)
  local count = tonumber(ARGV[at])
  for i = at + 1, at + 2 * count, 2 do redis.call('HSET', key, ARGV[i], ARGV[i + 1]) end
  return at + 1 + 2 * count
end

local function lowest_of(key)
  local lowest = LOWEST
  for _, field in ipairs(redis.call('HKEYS', key)) do lowest = math.min(lowest, ordinal_of(field)) end
  return lowest
end

-- Dead letters: one whose place another message has goes below all others, and all that a message can have.
local function bury_letters(key, at)
  local count, lowest = tonumber(ARGV[at]), nil
  for i = at + 1, at + 2 * count, 2 do
    local field, letter = ARGV[i], ARGV[i + 1]
    local lying = redis.call('HGET', key, field)
    if lying and id_of(lying) ~= id_of(letter) then
      lowest = (lowest or lowest_of(key)) - 1
      field = place(lowest, key_of(field))
    elseif lowest then
      lowest = math.min(lowest, ordinal_of(field))
    end
    redis.call('HSET', key, field, letter)
  end
  return at + 1 + 2 * count
end

local function take_letters(key, at)
  local count = tonumber(ARGV[at])
  for i = at + 1, at + count do redis.call('HDEL', key, ARGV[i]) end
  return at + 1 + count
end

-- A request is gone once it was carried out, unless another one has taken its place.
local function heed(key, at)
  for i = at + 1, at + 2 * tonumber(ARGV[at]), 2 do
    if redis.call('HGET', key, ARGV[i]) == ARGV[i + 1] then redis.call('HDEL', key, ARGV[i]) end
  end
end

-- The moves of a commit, from ARGV[at] on: what to park, to bury and to take back, and the requests carried out.
local function move(parked, dead, requests, at)
  at = take_letters(parked, at)
  at = put_letters(parked, at)
  at = bury_letters(dead, at)
  heed(requests, at)
end

-- Add to a reply a count and as many pairs.
local function add_pairs(reply, flat)
  reply[#reply + 1] = #flat / 2
  for _, item in ipairs(flat) do reply[#reply + 1] = item end
end

-- The keys that are parked and how many letters lie under each, flat.
local function parked_keys(parked)
  local counts, flat = {}, {}
  for _, field in ipairs(redis.call('HKEYS', parked)) do
    local key = key_of(field)
    counts[key] = (counts[key] or 0) + 1
  end
  for key, count in pairs(counts) do
    flat[#flat + 1] = key
    flat[#flat + 1] = count
  end
  return flat
end
