-- include models/tokenizers
-- ARGV: name, worker, ttl_s, info, tokenizer's sha256, tokenizer's ttl_s, 1 to declare the model too
-- -> 1 if the tokenizer is kept, else 0
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', ANNOUNCED, '-inf', '(' .. time[1])
redis.call('ZADD', ANNOUNCED, tonumber(time[1]) + tonumber(ARGV[3]), ARGV[1] .. ' ' .. ARGV[2])
redis.call('HSET', MODELS, ARGV[1], ARGV[4])
redis.call('HSETNX', MODELS_SINCE, ARGV[1], time[1])
local declared = redis.call('HGET', DECLARED, ARGV[1])
if declared or ARGV[7] == '1' then redis.call('HSET', DECLARED, ARGV[1], ARGV[5]) end
if declared and declared ~= ARGV[5] then keep_tokenizer(declared, ARGV[6]) end
return keep_tokenizer(ARGV[5], ARGV[6])
