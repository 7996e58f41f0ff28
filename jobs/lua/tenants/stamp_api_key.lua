-- ARGV: id, "last_used_at" | "revoked_at", touch_s  -> 1, or 0 if there is no such key
-- A time once set stays until it is touch_s seconds old (0: forever).
local key, field, touch_s = API_KEY .. ARGV[1], ARGV[2], tonumber(ARGV[3])
if redis.call('EXISTS', key) == 0 then return 0 end
local t = redis.call('TIME')
local now, before = tonumber(t[1]) + tonumber(t[2]) / 1000000, tonumber(redis.call('HGET', key, field))
if not before or (touch_s > 0 and now - before >= touch_s) then
  redis.call('HSET', key, field, string.format('%.6f', now))
end
return 1
