-- Counts of each tenant's month.
local KEEP_S = 400 * 24 * 3600 -- more than a year

-- The month of a Unix time, as 2026-01: civil_from_days of Howard Hinnant, "chrono-Compatible Low-Level Date
-- Algorithms".
local function month(at)
  local days = math.floor(at / 86400) + 719468
  local era = math.floor(days / 146097)
  local day = days - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  local day_of_year = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local from_march = math.floor((5 * day_of_year + 2) / 153)
  local number = from_march < 10 and from_march + 3 or from_march - 9
  return string.format('%04d-%02d', year + era * 400 + (number <= 2 and 1 or 0), number)
end

local function count(tenant, name, amount)
  local key = USAGE .. tenant .. ':' .. month(now())
  redis.call('HINCRBYFLOAT', key, name, amount)
  redis.call('EXPIRE', key, KEEP_S)
end

local function is_mask(id) return redis.call('HGET', EDIT .. id, 'kind') == 'mask' end

-- The tenant's sets that an edit, or a mask, is in.
local function sets(id, tenant) return (is_mask(id) and TENANT_MASKS or TENANT) .. tenant .. ':' end

local function unfinished(tenant)
  local many = 0
  for _, kind in ipairs({TENANT, TENANT_MASKS}) do
    for _, state in ipairs({'queued', 'running'}) do
      many = many + redis.call('ZCARD', kind .. tenant .. ':' .. state)
    end
  end
  return many
end

-- The limit that refuses the tenant one more edit, or nil (a limit of 0 refuses nothing).
local function beyond(tenant, most_unfinished, most_passes)
  if most_unfinished > 0 and unfinished(tenant) >= most_unfinished then return 'unfinished' end
  local passes = redis.call('HGET', USAGE .. tenant .. ':' .. month(now()), 'unet_passes')
  if most_passes > 0 and tonumber(passes or 0) >= most_passes then return 'quota' end
end

-- Called as the edit moves from `before` to its final state.
local function settle(id, before, after)
  local tenant, started, measures = unpack(redis.call('HMGET', EDIT .. id, 'tenant', 'started_at', 'measures'))
  if is_mask(id) then return end
  count(tenant, after, 1)
  if before == 'running' and started then count(tenant, 'seconds', now() - tonumber(started)) end
  if after == 'succeeded' and measures then
    local cost = cjson.decode(measures)
    count(tenant, 'unet_passes', cost.unet_forward + cost.unet_truncated_forward + cost.unet_backward)
  end
end
