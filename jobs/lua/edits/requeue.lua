-- include edits/transitions
-- include queue/ring
-- KEYS: line, taken ids, bell
-- ARGV: id, worker or '', attempt or '', ttl_s, problem of a late edit, 1 if the attempt is not to count
-- -> queued | canceled | failed | kept
-- With worker and attempt: that attempt returns its edit. Without: the reaper requeues an edit that no worker holds.
local id, me, mine = ARGV[1], ARGV[2], ARGV[3]
local key = EDIT .. id
local state, worker, attempt, cancel = unpack(
  redis.call('HMGET', key, 'state', 'worker', 'attempt', 'cancel_requested'))
if not state or terminal(state) then return 'kept' end
if me ~= '' then
  if state ~= 'running' or worker ~= me or attempt ~= mine then return 'kept' end
elseif redis.call('EXISTS', LEASE .. id) == 1 or redis.call('LPOS', KEYS[1], id) then
  redis.call('ZREM', MISSING, id)
  return 'kept'
end
redis.call('LREM', KEYS[2], 0, id)
if cancel == '1' then
  finish(id, state, 'canceled', tonumber(ARGV[4]))
  return 'canceled'
end
if is_late(id) then
  fail(id, state, tonumber(ARGV[4]), ARGV[5])
  return 'failed'
end
if state == 'running' then move(id, state, 'queued') end
if ARGV[6] == '1' then redis.call('HINCRBY', key, 'handed_back', 1) end
redis.call('HDEL', key, 'progress', 'worker', 'started_at', 'assessment')
redis.call('DEL', LEASE .. id, PREVIEW .. id)
redis.call('ZREM', MISSING, id)
-- It may be in line already, requeued while a slow worker had taken but not yet claimed it.
redis.call('LREM', KEYS[1], 0, id)
redis.call('LPUSH', KEYS[1], id)
ring(KEYS[3])
return 'queued'
