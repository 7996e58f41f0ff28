-- include clock
-- include tenants/usage
-- include webhooks/due
-- State changes of an edit, for the scripts that make them.
local function terminal(state) return next(ALLOWED[state]) == nil end

-- Watchers notice a change by this number.
local function revise(id) redis.call('HINCRBY', EDIT .. id, 'revision', 1) end

-- Set the state and the index that depends on it.
local function move(id, before, after)
  if not ALLOWED[before][after] then error('no transition from ' .. before .. ' to ' .. after) end
  local key = EDIT .. id
  local tenant = redis.call('HGET', key, 'tenant')
  redis.call('HSET', key, 'state', after)
  revise(id)
  redis.call('ZREM', sets(id, tenant) .. before, id)
  redis.call('ZADD', sets(id, tenant) .. after, 0, id)
end

local function finish(id, before, after, ttl_s)
  move(id, before, after)
  settle(id, before, after)
  local at = now()
  redis.call('HSET', EDIT .. id, 'finished_at', text(at), 'expires_at', text(at + ttl_s))
  redis.call('SREM', OPEN, id)
  redis.call('ZREM', MISSING, id)
  redis.call('ZREM', DEADLINES, id)
  redis.call('DEL', LEASE .. id, PREVIEW .. id)
  redis.call('ZADD', EXPIRY, text(at + ttl_s), id)
  announce(id)
end

local function fail(id, before, ttl_s, problem)
  finish(id, before, 'failed', ttl_s)
  redis.call('HSET', EDIT .. id, 'problem', problem)
end

-- Whether it is too late for an edit that is not running to start.
local function is_late(id)
  local deadline = redis.call('HGET', EDIT .. id, 'deadline_at')
  return deadline and now() >= tonumber(deadline)
end
