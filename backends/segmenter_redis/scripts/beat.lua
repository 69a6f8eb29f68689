#!lua flags=allow-oom
--@include document
local document, beats = KEYS[1], KEYS[2]
local member, known, silent_below = ARGV[1], ARGV[2], tonumber(ARGV[3])

-- The body is fetched only for those who do not know it: most beats change nothing.
local version = redis.call('HGET', document, 'version')
if not version then return {'Gone'} end
if not redis.call('ZSCORE', beats, member) then
  local stored = read_document(document)
  return {'NotMember', stored[1], stored[2], stored[3]}
end
local number = redis.call('HINCRBY', document, 'beats', 1)
redis.call('ZADD', beats, number, member)

-- A count below the number that was answered to the member has been rolled back, and is evidence against nobody.
local silent = {}
if number > silent_below then silent = redis.call('ZRANGEBYSCORE', beats, '-inf', '(' .. ARGV[3]) end
if version == known then return {'Beaten', number, '', '', '', unpack(silent)} end
local stored = read_document(document)
return {'Beaten', number, stored[1], stored[2], stored[3], unpack(silent)}
