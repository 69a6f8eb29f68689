#!lua flags=allow-oom
--@include ids
--@include log
--@include partition
--@include lane
--@include start
local log_key, meta, lanes = KEYS[1], KEYS[2], KEYS[3]
local group, start = ARGV[1], ARGV[2]

if not find_partition(meta, log_key) then return {'Gone'} end
if read_lane(meta, log_key, lanes, group) then return {'Exists', ''} end
local offset, read = start_of(log_key, look(log_key), start)
change_lane(lanes, group, {}, {
  offset = offset, read = read, ranges = '', attempts = '', trying = '-1', unclean = '0', horizon = '0',
  owner = '', epoch = '0', generation = '0', claim = '', history = '', number = '0',
})
-- The group that standard tools look at (see mirror).
redis.pcall('XGROUP', 'CREATE', log_key, group, offset, 'ENTRIESREAD', read)
return {'Created'}
