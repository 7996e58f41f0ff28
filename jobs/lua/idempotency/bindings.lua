-- A key's hash: fingerprint of the payload, id of the edit, and whether it is bound to it (else reserved).
-- If the key is bound to another edit: {replay | reused, that edit's id}; else nil.
local function taken(key, fingerprint, id)
  local theirs, other, bound = unpack(redis.call('HMGET', key, 'fingerprint', 'id', 'bound'))
  if bound and other ~= id then return {theirs == fingerprint and 'replay' or 'reused', other} end
end

local function bind(key, fingerprint, id, ttl_ms)
  redis.call('HSET', key, 'fingerprint', fingerprint, 'id', id, 'bound', 1)
  redis.call('PEXPIRE', key, ttl_ms)
end
