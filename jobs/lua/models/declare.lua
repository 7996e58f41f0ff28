-- include models/tokenizers
-- ARGV: name, info, tokenizer's sha256, tokenizer, tokenizer's ttl_s
-- Declares; what a live worker announces stays.
local time = redis.call('TIME')
local serving = false
for _, member in ipairs(redis.call('ZRANGEBYSCORE', ANNOUNCED, time[1], '+inf')) do
  if string.sub(member, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' then serving = true end
end
if not serving then redis.call('HSET', MODELS, ARGV[1], ARGV[2]) end
redis.call('HSETNX', MODELS_SINCE, ARGV[1], time[1])
local replaced = redis.call('HGET', DECLARED, ARGV[1])
redis.call('HSET', DECLARED, ARGV[1], ARGV[3])
redis.call('SET', TOKENIZER .. ARGV[3], ARGV[4])
if replaced and replaced ~= ARGV[3] then keep_tokenizer(replaced, ARGV[5]) end
return serving and 1 or 0
