#!lua flags=allow-oom
--@include clock
--@include log
--@include document
local document, events = KEYS[1], KEYS[2]

local stored = read_document(document)
local last, now = look(events).last, string.format('%.0f', now_us())
if not stored then return {'GroupLoaded', last, now} end
return {'GroupLoaded', last, now, stored[1], stored[2], stored[3]}
