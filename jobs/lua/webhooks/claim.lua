-- include clock
-- ARGV: most, lease_s, attempts  -> id, number, ...
local taken = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', WEBHOOKS, '-inf', text(now()), 'LIMIT', 0, tonumber(ARGV[1]))) do
  local number = redis.call('HINCRBY', WEBHOOK .. id, 'number', 1)
  if number > tonumber(ARGV[3]) then
    redis.call('HSET', WEBHOOK .. id, 'number', number - 1, 'state', 'failed')
    redis.call('ZREM', WEBHOOKS, id)
  else
    redis.call('HSET', WEBHOOK .. id, 'attempt:' .. number, cjson.encode({number = number, at = now()}))
    redis.call('ZADD', WEBHOOKS, text(now() + tonumber(ARGV[2])), id)
    table.insert(taken, id)
    table.insert(taken, number)
  end
end
return taken
