-- include clock
-- ARGV: id, number, verdict, attempts, pause_s, outcome  -> state | gone
-- Only the latest attempt decides what comes next, but any success ends the delivery.
local id, number, verdict = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local key = WEBHOOK .. id
local latest, state = unpack(redis.call('HMGET', key, 'number', 'state'))
if not latest then return 'gone' end
local begun = cjson.decode(redis.call('HGET', key, 'attempt:' .. number) or '{}')
local outcome = cjson.decode(ARGV[6])
outcome.number, outcome.at = number, begun.at or now()
redis.call('HSET', key, 'attempt:' .. number, cjson.encode(outcome))
if state then return state end
if verdict == 'delivered' then
  state = 'delivered'
elseif tonumber(latest) ~= number then
  return 'pending'
elseif verdict == 'failed' or number >= tonumber(ARGV[4]) then
  state = 'failed'
else
  redis.call('ZADD', WEBHOOKS, text(now() + tonumber(ARGV[5])), id)
  return 'pending'
end
redis.call('HSET', key, 'state', state)
redis.call('ZREM', WEBHOOKS, id)
return state
