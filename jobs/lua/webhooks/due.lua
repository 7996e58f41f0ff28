-- Webhooks that are due with the end of an edit, or gone with the edit.
local function announce(id)
  if redis.call('HEXISTS', EDIT .. id, 'webhook_url') == 1 then redis.call('ZADD', WEBHOOKS, text(now()), id) end
end

local function silence(id)
  redis.call('ZREM', WEBHOOKS, id)
  redis.call('DEL', WEBHOOK .. id)
end
