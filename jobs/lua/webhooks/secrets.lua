-- KEYS: secrets   ARGV: a new secret, 1 to have it replace the present one, overlap_s  -> present [, the one before]
local key, fresh = KEYS[1], ARGV[1]
local time = tonumber(redis.call('TIME')[1])
local present = redis.call('HGET', key, 'present')
if not present or (ARGV[2] == '1' and present ~= fresh) then
  if present then redis.call('HSET', key, 'before', present, 'before_until', time + tonumber(ARGV[3])) end
  redis.call('HSET', key, 'present', fresh)
  present = fresh
end
local before, till = unpack(redis.call('HMGET', key, 'before', 'before_until'))
if before and time < tonumber(till) then return {present, before} end
return {present}
