local LANE = {
  'offset', 'read', 'ranges', 'attempts', 'owner', 'epoch', 'generation', 'claim', 'history', 'number',
  'trying', 'unclean', 'horizon', 'delays',
}
local NEW = {trying = '-1', unclean = '0', horizon = '0', delays = ''} -- where nothing was ever stored

local function lane_fields(group)
  local fields = {}
  for i, name in ipairs(LANE) do fields[i] = group .. ':' .. name end
  return fields
end

-- The lane of a group; nil where the partition or the lane was never created, or was lost.
local function read_lane(meta, log_key, lanes, group)
  local incarnation = find_partition(meta, log_key)
  if not incarnation then return nil end
  local values = redis.call('HMGET', lanes, unpack(lane_fields(group)))
  if not values[1] then return nil end
  local lane = {incarnation = incarnation}
  for i, name in ipairs(LANE) do lane[name] = values[i] or NEW[name] end
  return lane
end

local function change_lane(lanes, group, lane, changes)
  local flat = {}
  for name, value in pairs(changes) do
    lane[name] = value
    flat[#flat + 1] = group .. ':' .. name
    flat[#flat + 1] = value
  end
  redis.call('HSET', lanes, unpack(flat))
end
