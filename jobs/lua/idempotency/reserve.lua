-- include idempotency/bindings
-- KEYS: key   ARGV: fingerprint, id, lease_ms  -> reserved | busy + milliseconds | replay + id | reused
local key, fingerprint, id = KEYS[1], ARGV[1], ARGV[2]
local other = taken(key, fingerprint, id)
if other then return other end
local theirs, before = unpack(redis.call('HMGET', key, 'fingerprint', 'id'))
if before and before ~= id then
  if theirs ~= fingerprint then return {'reused', before} end
  return {'busy', redis.call('PTTL', key)}
end
if not before then
  redis.call('HSET', key, 'fingerprint', fingerprint, 'id', id)
  redis.call('PEXPIRE', key, ARGV[3])
end
return {'reserved'}
