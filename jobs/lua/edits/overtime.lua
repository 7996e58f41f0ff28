-- include edits/transitions
-- ARGV: limit, ttl_s, problem  -> the ids that failed
-- Every id is looked at once: one that runs leaves the index, for should it be given back or lost, requeue and claim
-- look at its deadline.
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
