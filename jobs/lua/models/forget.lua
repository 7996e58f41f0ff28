-- include models/tokenizers
-- ARGV: name, tokenizer's ttl_s  -> 1, or 0 if it was not declared
-- A model without a live worker is unknown afterwards; one with stays known, as any that is announced.
local sha256 = redis.call('HGET', DECLARED, ARGV[1])
if not sha256 then return 0 end
redis.call('HDEL', DECLARED, ARGV[1])
keep_tokenizer(sha256, ARGV[2])
local time = redis.call('TIME')
for _, member in ipairs(redis.call('ZRANGEBYSCORE', ANNOUNCED, time[1], '+inf')) do
  if string.sub(member, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' then return 1 end
end
redis.call('HDEL', MODELS, ARGV[1])
return 1
