#!lua flags=allow-oom
--@include partition
--@include log
--@include retention
local log_key, meta, lanes = KEYS[1], KEYS[2], KEYS[3]
local keep = tonumber(ARGV[1])

if not find_partition(meta, log_key) then return {'Gone'} end
local log = look(log_key)
local count = math.max(0, math.min(trimmable(log, (slowest(lanes))), log.length - keep))
drop_first(log_key, log, count)
return {'Trimmed', count}
