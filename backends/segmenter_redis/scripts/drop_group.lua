#!lua flags=allow-oom
local document, beats, events = KEYS[1], KEYS[2], KEYS[3]

redis.call('UNLINK', document, beats, events)
return {'Dropped'}
