-- include edits/transitions
-- ARGV: id, worker, attempt, state, ttl_s, field, value, ...  -> the state committed | stale
-- An accepted cancel wins over whatever the attempt ended with.
local id, me, mine, after = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local key = EDIT .. id
local state, worker, attempt, cancel = unpack(
  redis.call('HMGET', key, 'state', 'worker', 'attempt', 'cancel_requested'))
if not state or worker ~= me or attempt ~= mine then return 'stale' end
if terminal(state) then return state end
if state ~= 'running' then return 'stale' end
if cancel == '1' then after = 'canceled' end
if after == ARGV[4] and #ARGV > 5 then redis.call('HSET', key, unpack(ARGV, 6)) end
finish(id, state, after, tonumber(ARGV[5]))
return after
