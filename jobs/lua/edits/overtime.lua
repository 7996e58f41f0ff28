-- include edits/transitions
-- ARGV: limit, ttl_s, problem  -> the ids that failed
-- Every id is checked once: a running edit leaves the index, since requeue and claim check its deadline later.
local failed = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', DEADLINES, '-inf', text(now()), 'LIMIT', 0, tonumber(ARGV[1]))) do
  redis.call('ZREM', DEADLINES, id)
  local state = redis.call('HGET', EDIT .. id, 'state')
  if state == 'queued' then
    fail(id, state, tonumber(ARGV[2]), ARGV[3])
    table.insert(failed, id)
  end
end
return failed
