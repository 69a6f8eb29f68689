#!lua flags=allow-oom
local log, meta, producers, lanes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

redis.call('UNLINK', log, meta, producers, lanes)
return {'Dropped'}
