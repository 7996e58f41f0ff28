-- A key's hash: fingerprint of the payload, id of the edit, and whether it is bound
-- to it (else reserved).
-- What another edit's binding means for this one: replay or reused, and its id; or nil.
local function taken(key, fingerprint, id)
  local theirs, other, bound = unpack(redis.call('HMGET', key, 'fingerprint', 'id', 'bound'))
  if bound and other ~= id then return {theirs == fingerprint and 'replay' or 'reused', other} end
end

local function bind(key, fingerprint, id, ttl_ms)
  redis.call('HSET', key, 'fingerprint', fingerprint, 'id', id, 'bound', 1)
  redis.call('PEXPIRE', key, ttl_ms)
end
