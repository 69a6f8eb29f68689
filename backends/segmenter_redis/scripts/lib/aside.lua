-- What a lane has set aside. Letters are the clients' business; their fields, "ordinal:key", say where they lie.
local function put_letters(key, at)
  local count = tonumber(ARGV[at])
  for i = at + 1, at + 2 * count, 2 do redis.call('HSET', key, ARGV[i], ARGV[i + 1]) end
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
  at = put_letters(dead, at)
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
    local key = field:match('^%d+:(.*)$')
    counts[key] = (counts[key] or 0) + 1
  end
  for key, count in pairs(counts) do
    flat[#flat + 1] = key
    flat[#flat + 1] = count
  end
  return flat
end
