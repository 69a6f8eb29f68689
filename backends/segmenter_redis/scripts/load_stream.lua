#!lua flags=allow-oom
local stored = redis.call('HMGET', KEYS[1], 'version', 'body')
if not stored[1] then return {'Loaded'} end
return {'Loaded', stored[1], stored[2]}
