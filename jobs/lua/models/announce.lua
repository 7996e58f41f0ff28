-- ARGV: name, worker, ttl_s, info, tokenizer's sha256, tokenizer's ttl_s, 1 to declare the model too
-- -> 1 if the tokenizer is kept, else 0
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', ANNOUNCED, '-inf', '(' .. time[1])
redis.call('ZADD', ANNOUNCED, tonumber(time[1]) + tonumber(ARGV[3]), ARGV[1] .. ' ' .. ARGV[2])
redis.call('HSET', MODELS, ARGV[1], ARGV[4])
redis.call('HSETNX', MODELS_SINCE, ARGV[1], time[1])
local tokenizer = TOKENIZER .. ARGV[5]
local declared = redis.call('HGET', DECLARED, ARGV[1])
if declared or ARGV[7] == '1' then
  -- Needed while no worker announces it: without a time to live.
  if declared ~= ARGV[5] then
    redis.call('HSET', DECLARED, ARGV[1], ARGV[5])
    if declared then redis.call('EXPIRE', TOKENIZER .. declared, ARGV[6]) end
  end
  redis.call('PERSIST', tokenizer)
  return redis.call('EXISTS', tokenizer)
end
-- One without a time to live is a declared model's.
if redis.call('TTL', tokenizer) == -1 then return 1 end
return redis.call('EXPIRE', tokenizer, ARGV[6])
