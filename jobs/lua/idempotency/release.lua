-- KEYS: key   ARGV: id
local id, bound = unpack(redis.call('HMGET', KEYS[1], 'id', 'bound'))
if id == ARGV[1] and not bound then redis.call('DEL', KEYS[1]) end
