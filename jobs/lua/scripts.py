"""The Lua scripts that change a record atomically.

Each checks the state it starts from and can be repeated, since a client that lost the answer sends it again.

All times are Redis' own, so that no machine's clock matters. Keys are built inside the scripts: one Redis
server (with replicas), not a cluster.
"""

from __future__ import annotations

from jobs import idempotency, keys
from jobs.lifecycle import lua_table
from jobs.tenants import usage
from jobs.webhooks import deliveries

_PRELUDE = f"""
local EDIT, LEASE, OPEN = '{keys.EDIT}', '{keys.LEASE}', '{keys.OPEN}'
local MISSING, EXPIRY, TENANT, QUEUES = '{keys.MISSING}', '{keys.EXPIRY}', '{keys.TENANT}', '{keys.QUEUES}'
local DEADLINES = '{keys.DEADLINES}'
local ALLOWED = {lua_table()}

local function now()
  local t = redis.call('TIME')
  return tonumber(t[1]) + tonumber(t[2]) / 1000000
end

local function text(seconds) return string.format('%.6f', seconds) end

local function terminal(state) return next(ALLOWED[state]) == nil end
{usage.LUA}
{deliveries.LUA}
-- Callers that follow an edit see it change by this number.
local function revise(id) redis.call('HINCRBY', EDIT .. id, 'revision', 1) end

-- The state and the index that depends on it.
local function move(id, before, after)
  if not ALLOWED[before][after] then error('no transition from ' .. before .. ' to ' .. after) end
  local key = EDIT .. id
  local tenant = redis.call('HGET', key, 'tenant')
  redis.call('HSET', key, 'state', after)
  revise(id)
  redis.call('ZREM', TENANT .. tenant .. ':' .. before, id)
  redis.call('ZADD', TENANT .. tenant .. ':' .. after, 0, id)
end

local function finish(id, before, after, ttl_s)
  move(id, before, after)
  settle(id, before, after)
  local at = now()
  redis.call('HSET', EDIT .. id, 'finished_at', text(at), 'expires_at', text(at + ttl_s))
  redis.call('SREM', OPEN, id)
  redis.call('ZREM', MISSING, id)
  redis.call('ZREM', DEADLINES, id)
  redis.call('DEL', LEASE .. id)
  redis.call('ZADD', EXPIRY, text(at + ttl_s), id)
  announce(id)
end

local function fail(id, before, ttl_s, problem)
  finish(id, before, 'failed', ttl_s)
  redis.call('HSET', EDIT .. id, 'problem', problem)
end

-- Whether an edit that is not running may no longer begin.
local function is_late(id)
  local deadline = redis.call('HGET', EDIT .. id, 'deadline_at')
  return deadline and now() >= tonumber(deadline)
end
"""

# A bell holds one token at most. Whoever puts an id in line rings; the worker that takes an id rings on if more ids
# wait; so as long as ids wait, there is a token in the bell or with a worker that is about to take an id.
# A worker that dies with the token costs the others no more than the end of their blocking wait.
_RING = """
local function ring(bell)
  if redis.call('EXISTS', bell) == 0 then redis.call('RPUSH', bell, 1) end
end
"""

# KEYS: bell
RING = _RING + "ring(KEYS[1])"

# KEYS: the lines in the order of their priorities, the list of taken ids, bell -> id, number of its line (1, ...) | nil
# The move is one step: an id is in a line or among the taken ones, whenever the worker dies. What is taken and not
# claimed is under no lease, so the reaper brings it back; so it does if the answer was lost and the worker, asking
# again, takes the next id.
TAKE = (
    _RING
    + """
local taken, bell = KEYS[#KEYS - 1], KEYS[#KEYS]
for number = 1, #KEYS - 2 do
  local id = redis.call('LMOVE', KEYS[number], taken, 'LEFT', 'RIGHT')
  if id then
    for other = number, #KEYS - 2 do
      if redis.call('EXISTS', KEYS[other]) == 1 then ring(bell) end
    end
    return {id, number}
  end
end
-- Nothing waits, so a token would only wake somebody for nothing.
redis.call('DEL', bell)
return false
"""
)

# ARGV: id, tenant, model, limit, deadline_s or '', time of the id or '', orphan_age_s, unfinished, passes,
#       Idempotency-Key's Redis key or '', fingerprint, ttl_ms, field, value, ...
# -> created + record | full | old | unfinished | quota | replay + id | reused + id
# An id that is older than the age from which inputs without a record are swept is refused: so no sweep, which looks for
# the record after that age, can take away the inputs of an edit that is accepted.
CREATE = (
    _PRELUDE
    + idempotency.LUA
    + """
local id, tenant, model, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if redis.call('EXISTS', EDIT .. id) == 0 then
  local at, key = now(), ARGV[10]
  local other = key ~= '' and taken(key, ARGV[11], id)
  if other then return other end
  if ARGV[6] ~= '' and at - tonumber(ARGV[6]) > tonumber(ARGV[7]) then return {'old'} end
  if redis.call('SCARD', OPEN) >= limit then return {'full'} end
  local reached = beyond(tenant, tonumber(ARGV[8]), tonumber(ARGV[9]))
  if reached then return {reached} end
  if key ~= '' then bind(key, ARGV[11], id, ARGV[12]) end
  count(tenant, 'accepted', 1)
  redis.call('HSET', EDIT .. id, unpack(ARGV, 13))
  redis.call('HSET', EDIT .. id, 'created_at', text(at))
  if ARGV[5] ~= '' then
    local deadline = text(at + tonumber(ARGV[5]))
    redis.call('HSET', EDIT .. id, 'deadline_at', deadline)
    redis.call('ZADD', DEADLINES, deadline, id)
  end
  redis.call('SADD', OPEN, id)
  redis.call('SADD', QUEUES, model)
  redis.call('ZADD', TENANT .. tenant .. ':all', 0, id)
  redis.call('ZADD', TENANT .. tenant .. ':queued', 0, id)
end
return {'created', redis.call('HGETALL', EDIT .. id)}
"""
)

# ARGV: id, worker, lease_ms, max_attempts, ttl_s, problem of a poison edit, of a late one
# -> claimed + record | poison | late | taken | finished | gone
CLAIM = (
    _PRELUDE
    + """
local id, me, lease_ms, max_attempts = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local key = EDIT .. id
local state, worker, attempt, handed_back = unpack(
  redis.call('HMGET', key, 'state', 'worker', 'attempt', 'handed_back'))
if not state then return {'gone'} end
if terminal(state) then return {'finished'} end
if state == 'running' and worker ~= me then return {'taken'} end
if state == 'queued' then
  if tonumber(attempt) - tonumber(handed_back) >= max_attempts then
    fail(id, state, tonumber(ARGV[5]), ARGV[6])
    return {'poison'}
  end
  if is_late(id) then
    fail(id, state, tonumber(ARGV[5]), ARGV[7])
    return {'late'}
  end
  move(id, state, 'running')
  redis.call('HINCRBY', key, 'attempt', 1)
  redis.call('HSET', key, 'worker', me, 'started_at', text(now()))
  redis.call('HDEL', key, 'progress')
  redis.call('ZREM', MISSING, id)
end
redis.call('SET', LEASE .. id, me, 'PX', lease_ms)
return {'claimed', redis.call('HGETALL', key)}
"""
)

# ARGV: id, worker, attempt, lease_ms, progress or ''  -> kept | cancel | lost
RENEW = (
    _PRELUDE
    + """
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
"""
)

# ARGV: id, worker, attempt, state, ttl_s, field, value, ...  -> the state committed | stale
# An accepted cancel wins over whatever the attempt ended with.
COMMIT = (
    _PRELUDE
    + """
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
"""
)

# ARGV: id, ttl_s  -> the state before | false
CANCEL = (
    _PRELUDE
    + """
local id = ARGV[1]
local state = redis.call('HGET', EDIT .. id, 'state')
if not state then return false end
if state == 'queued' then finish(id, state, 'canceled', tonumber(ARGV[2])) end
if not terminal(state) then
  redis.call('HSET', EDIT .. id, 'cancel_requested', 1)
  revise(id)
end
return state
"""
)

# KEYS: line, taken ids, bell
# ARGV: id, worker or '', attempt or '', ttl_s, problem of a late edit, 1 if the attempt is not to count
# -> queued | canceled | failed | kept
# With worker and attempt: that attempt hands its edit back. Without: the reaper's, for an edit nobody holds.
REQUEUE = (
    _PRELUDE
    + _RING
    + """
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
redis.call('HDEL', key, 'progress', 'worker', 'started_at')
redis.call('DEL', LEASE .. id)
redis.call('ZREM', MISSING, id)
-- It may be in line already: requeued between a slow worker's taking and its claim, which it now gives back.
redis.call('LREM', KEYS[1], 0, id)
redis.call('LPUSH', KEYS[1], id)
ring(KEYS[3])
return 'queued'
"""
)

# KEYS: every line   ARGV: grace_s  -> the open ids in no line and under no lease for longer than the grace time
# MISSING keeps exactly the ids that are so now, each since when.
OVERDUE = (
    _PRELUDE
    + """
local at, waiting, due = now(), {}, {}
for _, line in ipairs(KEYS) do
  for _, id in ipairs(redis.call('LRANGE', line, 0, -1)) do waiting[id] = true end
end
for _, id in ipairs(redis.call('ZRANGE', MISSING, 0, -1)) do
  if waiting[id] or redis.call('EXISTS', LEASE .. id) == 1 or redis.call('SISMEMBER', OPEN, id) == 0 then
    redis.call('ZREM', MISSING, id)
  end
end
for _, id in ipairs(redis.call('SMEMBERS', OPEN)) do
  if not waiting[id] and redis.call('EXISTS', LEASE .. id) == 0 then
    redis.call('ZADD', MISSING, 'NX', text(at), id)
    if at - tonumber(redis.call('ZSCORE', MISSING, id)) >= tonumber(ARGV[1]) then table.insert(due, id) end
  end
end
return due
"""
)

# ARGV: limit, ttl_s, problem  -> the ids that failed
# Every id is looked at once: one that runs leaves the index, for should it be given back or lost, REQUEUE and CLAIM
# look at its deadline.
OVERTIME = (
    _PRELUDE
    + """
local failed = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', DEADLINES, '-inf', text(now()), 'LIMIT', 0, tonumber(ARGV[1]))) do
  redis.call('ZREM', DEADLINES, id)
  local state = redis.call('HGET', EDIT .. id, 'state')
  if state == 'queued' then
    fail(id, state, tonumber(ARGV[2]), ARGV[3])
    table.insert(failed, id)
  end
end
return failed
"""
)

# ARGV: id, tombstone_s (0: at once)  -> whether there was such a record
FORGET = (
    _PRELUDE
    + """
local id = ARGV[1]
local tenant, state = unpack(redis.call('HMGET', EDIT .. id, 'tenant', 'state'))
redis.call('SREM', OPEN, id)
redis.call('ZREM', MISSING, id)
redis.call('ZREM', EXPIRY, id)
redis.call('ZREM', DEADLINES, id)
redis.call('DEL', LEASE .. id)
silence(id)
if not tenant then return 0 end
if not terminal(state) then settle(id, state, 'canceled') end
redis.call('ZREM', TENANT .. tenant .. ':all', id)
redis.call('ZREM', TENANT .. tenant .. ':' .. state, id)
if ARGV[2] == '0' then redis.call('DEL', EDIT .. id) else redis.call('EXPIRE', EDIT .. id, ARGV[2]) end
return 1
"""
)
