-- Standard tools show the lag of consumer groups, and XTRIM ... ACKED spares what they have not read: keep one in step
-- with the lane. Nothing depends on it but how dear a probe is, so it comes last and its failure changes nothing.
local function mirror(log_key, group, lane)
  redis.pcall('XGROUP', 'SETID', log_key, group, lane.offset, 'ENTRIESREAD', lane.read)
end
