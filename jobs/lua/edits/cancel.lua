-- include edits/transitions
-- ARGV: id, ttl_s  -> the state before | false
local id = ARGV[1]
local state = redis.call('HGET', EDIT .. id, 'state')
if not state then return false end
if state == 'queued' then finish(id, state, 'canceled', tonumber(ARGV[2])) end
if not terminal(state) then
  redis.call('HSET', EDIT .. id, 'cancel_requested', 1)
  revise(id)
end
return state
