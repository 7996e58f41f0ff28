-- include edits/transitions
-- include idempotency/bindings
-- ARGV: id, tenant, model, limit, deadline_s or '', time of the id or '', orphan_age_s, unfinished, passes,
-- Idempotency-Key's Redis key or '', fingerprint, ttl_ms, field, value, ...
-- -> created + record | full | old | unfinished | quota | replay + id | reused + id
-- An id older than the age at which inputs without a record are removed is refused: so no sweep, which looks for the
-- record at that age, can remove the inputs of an accepted edit.
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
  redis.call('HSET', EDIT .. id, unpack(ARGV, 13))
  count(tenant, is_mask(id) and 'masks' or 'accepted', 1)
  redis.call('HSET', EDIT .. id, 'created_at', text(at))
  if ARGV[5] ~= '' then
    local deadline = text(at + tonumber(ARGV[5]))
    redis.call('HSET', EDIT .. id, 'deadline_at', deadline)
    redis.call('ZADD', DEADLINES, deadline, id)
  end
  redis.call('SADD', OPEN, id)
  redis.call('SADD', QUEUES, model)
  redis.call('ZADD', sets(id, tenant) .. 'all', 0, id)
  redis.call('ZADD', sets(id, tenant) .. 'queued', 0, id)
end
return {'created', redis.call('HGETALL', EDIT .. id)}
