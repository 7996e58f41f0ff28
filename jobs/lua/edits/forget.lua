-- include edits/transitions
-- ARGV: id, tombstone_s (0: at once)  -> 1 if the record existed, else 0
local id = ARGV[1]
local tenant, state = unpack(redis.call('HMGET', EDIT .. id, 'tenant', 'state'))
redis.call('SREM', OPEN, id)
redis.call('ZREM', MISSING, id)
redis.call('ZREM', EXPIRY, id)
redis.call('ZREM', DEADLINES, id)
redis.call('DEL', LEASE .. id, PREVIEW .. id)
silence(id)
if not tenant then return 0 end
if not terminal(state) then settle(id, state, 'canceled') end
redis.call('ZREM', sets(id, tenant) .. 'all', id)
redis.call('ZREM', sets(id, tenant) .. state, id)
if ARGV[2] == '0' then redis.call('DEL', EDIT .. id) else redis.call('EXPIRE', EDIT .. id, ARGV[2]) end
return 1
