-- include edits/transitions
-- ARGV: id, worker, attempt, lease_ms, progress or '', warnings or '' [, preview's image, result, step, steps, ttl_s]
-- -> kept | cancel | lost
local id, me, mine = ARGV[1], ARGV[2], ARGV[3]
local key = EDIT .. id
local state, worker, attempt, cancel = unpack(
  redis.call('HMGET', key, 'state', 'worker', 'attempt', 'cancel_requested'))
if state ~= 'running' or worker ~= me or attempt ~= mine then return 'lost' end
redis.call('SET', LEASE .. id, me, 'PX', ARGV[4])
if ARGV[5] ~= '' then redis.call('HSET', key, 'progress', ARGV[5]) end
if ARGV[6] ~= '' then redis.call('HSET', key, 'assessment', ARGV[6]) end
if ARGV[7] then
  local preview = PREVIEW .. id
  redis.call('HSET', preview, 'image', ARGV[7], 'result', ARGV[8], 'step', ARGV[9], 'steps', ARGV[10])
  redis.call('HINCRBY', preview, 'number', 1)
  redis.call('EXPIRE', preview, ARGV[11])
end
-- Callers that follow the edit look again.
if ARGV[5] ~= '' or ARGV[6] ~= '' or ARGV[7] then revise(id) end
if cancel == '1' then return 'cancel' end
return 'kept'
