-- include edits/transitions
-- ARGV: id, worker, lease_ms, max_attempts, ttl_s, problem of a poison edit, of a late one
-- -> claimed + record | poison | late | taken | finished | gone
local id, me, lease_ms, max_attempts = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local key = EDIT .. id
local state, worker, attempt, handed_back = unpack(
  redis.call('HMGET', key, 'state', 'worker', 'attempt', 'handed_back'))
if not state then return {'gone'} end
if terminal(state) then return {'finished'} end
if state == 'running' and worker ~= me then return {'taken'} end
if state == 'queued' then
  if tonumber(attempt) - tonumber(handed_back) >= max_attempts then
    fail(id, state, tonumber(ARGV[5]), ARGV[6])
    return {'poison'}
  end
  if is_late(id) then
    fail(id, state, tonumber(ARGV[5]), ARGV[7])
    return {'late'}
  end
  move(id, state, 'running')
  redis.call('HINCRBY', key, 'attempt', 1)
  redis.call('HSET', key, 'worker', me, 'started_at', text(now()))
  redis.call('HDEL', key, 'progress')
  redis.call('ZREM', MISSING, id)
end
redis.call('SET', LEASE .. id, me, 'PX', lease_ms)
return {'claimed', redis.call('HGETALL', key)}
