#!lua flags=allow-oom
--@include log
--@include document
local document, events = KEYS[1], KEYS[2]

local stored = read_document(document)
local last = look(events).last
if not stored then return {'GroupLoaded', last} end
return {'GroupLoaded', last, stored[1], stored[2], stored[3]}
