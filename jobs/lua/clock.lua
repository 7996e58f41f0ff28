-- The time of Redis, in seconds, so that no machine's clock matters.
local function now()
  local t = redis.call('TIME')
  return tonumber(t[1]) + tonumber(t[2]) / 1000000
end

local function text(seconds) return string.format('%.6f', seconds) end
