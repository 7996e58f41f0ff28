-- KEYS: one per rate   ARGV: quota, window_s of each
-- -> number of the first rate that is used up (0: none, and one request is counted at each),
-- and for each rate: requests left, milliseconds until the quota is full, milliseconds until the next is allowed
-- A key holds the time at which the tenant's quota is full again (the "theoretical arrival time"), in microseconds.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local refused, rates = 0, {}
for i, key in ipairs(KEYS) do
  local window = tonumber(ARGV[2 * i]) * 1000000
  local interval = window / tonumber(ARGV[2 * i - 1])
  local full_at = math.max(tonumber(redis.call('GET', key)) or 0, now)
  local wait = full_at + interval - window - now
  if wait > 0 and refused == 0 then refused = i end
  rates[i] = {window = window, interval = interval, full_at = full_at, wait = wait}
end
local answer = {refused}
for i, rate in ipairs(rates) do
  if refused == 0 then
    rate.full_at = rate.full_at + rate.interval
    redis.call('SET', KEYS[i], string.format('%.0f', rate.full_at), 'PX', math.ceil((rate.full_at - now) / 1000) + 1)
  end
  local used = rate.full_at - now
  table.insert(answer, math.floor((rate.window - used) / rate.interval + 1e-6))
  table.insert(answer, math.ceil(used / 1000))
  table.insert(answer, math.max(0, math.ceil(rate.wait / 1000)))
end
return answer
