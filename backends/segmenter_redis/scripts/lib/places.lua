-- Where a letter lies: the field of its hash, "ordinal:key".
local LOWEST = -1 -- no message has an ordinal below this one, which says that none is tried

local function ordinal_of(field) return tonumber(field:match('^%-?%d+')) end

local function key_of(field) return field:match('^%-?%d+:(.*)$') end

local function place(ordinal, key) return string.format('%.0f', ordinal) .. ':' .. key end

-- Letters are the clients' business, but for the ids of their messages.
local function id_of(letter) return letter:match('^{"id": "([^"]*)"') end
