-- The document of a group: {version, generation, body}, or nil. The body is the clients' business.
local function read_document(key)
  local stored = redis.call('HMGET', key, 'version', 'generation', 'body')
  return stored[1] and stored or nil
end
