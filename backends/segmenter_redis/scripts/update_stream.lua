#!lua flags=allow-oom
local config = KEYS[1]
local expect, version, body = ARGV[1], ARGV[2], ARGV[3] -- versions are empty where there is nothing

local stored = redis.call('HMGET', config, 'version', 'body')
local stands = stored[1] or ''
if stands == version then return {'StreamUpdated'} end -- repeated: it went through the first time
if stands ~= expect then
  if stands == '' then return {'StreamConflict'} end
  return {'StreamConflict', stored[1], stored[2]}
end
if version == '' then
  redis.call('DEL', config)
else
  redis.call('HSET', config, 'version', version, 'body', body)
end
return {'StreamUpdated'}
