-- A webhook becomes due when its edit ends and is dropped with the edit.
local function announce(id)
  if redis.call('HEXISTS', EDIT .. id, 'webhook_url') == 1 then redis.call('ZADD', WEBHOOKS, text(now()), id) end
end

local function silence(id)
  redis.call('ZREM', WEBHOOKS, id)
  redis.call('DEL', WEBHOOK .. id)
end
