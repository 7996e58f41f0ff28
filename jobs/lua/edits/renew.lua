-- include edits/transitions
-- ARGV: id, worker, attempt, lease_ms, progress or ''  -> kept | cancel | lost
local id, me, mine = ARGV[1], ARGV[2], ARGV[3]
local key = EDIT .. id
local state, worker, attempt, cancel = unpack(
  redis.call('HMGET', key, 'state', 'worker', 'attempt', 'cancel_requested'))
if state ~= 'running' or worker ~= me or attempt ~= mine then return 'lost' end
redis.call('SET', LEASE .. id, me, 'PX', ARGV[4])
if ARGV[5] ~= '' then
  redis.call('HSET', key, 'progress', ARGV[5])
  revise(id)
end
if cancel == '1' then return 'cancel' end
return 'kept'
