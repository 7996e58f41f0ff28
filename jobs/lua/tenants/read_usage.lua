-- include clock
-- include tenants/usage
-- ARGV: tenant, month or ''  -> month, unfinished edits, counts
local asked = ARGV[2] ~= '' and ARGV[2] or month(now())
return {asked, unfinished(ARGV[1]), redis.call('HGETALL', USAGE .. ARGV[1] .. ':' .. asked)}
