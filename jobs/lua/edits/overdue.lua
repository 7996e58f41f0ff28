-- include edits/transitions
-- KEYS: every line   ARGV: grace_s  -> the open ids in no line and under no lease for longer than the grace time
-- MISSING holds exactly the ids that are so now, each with the time since when.
local at, waiting, due = now(), {}, {}
for _, line in ipairs(KEYS) do
  for _, id in ipairs(redis.call('LRANGE', line, 0, -1)) do waiting[id] = true end
end
for _, id in ipairs(redis.call('ZRANGE', MISSING, 0, -1)) do
  if waiting[id] or redis.call('EXISTS', LEASE .. id) == 1 or redis.call('SISMEMBER', OPEN, id) == 0 then
    redis.call('ZREM', MISSING, id)
  end
end
for _, id in ipairs(redis.call('SMEMBERS', OPEN)) do
  if not waiting[id] and redis.call('EXISTS', LEASE .. id) == 0 then
    redis.call('ZADD', MISSING, 'NX', text(at), id)
    if at - tonumber(redis.call('ZSCORE', MISSING, id)) >= tonumber(ARGV[1]) then table.insert(due, id) end
  end
end
return due
