-- ARGV: name, worker, ttl_s, info, tokenizer's sha256, tokenizer's ttl_s  -> 1 if the tokenizer is kept, else 0
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', ANNOUNCED, '-inf', '(' .. time[1])
redis.call('ZADD', ANNOUNCED, tonumber(time[1]) + tonumber(ARGV[3]), ARGV[1] .. ' ' .. ARGV[2])
redis.call('HSET', MODELS, ARGV[1], ARGV[4])
redis.call('HSETNX', MODELS_SINCE, ARGV[1], time[1])
local tokenizer = TOKENIZER .. ARGV[5]
-- A declared model's tokenizer is needed while no worker announces it.
if redis.call('HGET', DECLARED, ARGV[1]) == ARGV[5] then return redis.call('EXISTS', tokenizer) end
if redis.call('TTL', tokenizer) == -1 then return 1 end
return redis.call('EXPIRE', tokenizer, ARGV[6])
