-- Keep a tokenizer: without a time to live if a declared model has it, else for `ttl_s` seconds -> 1, or 0: it is not there
local function keep_tokenizer(sha256, ttl_s)
  for _, declared in ipairs(redis.call('HVALS', DECLARED)) do
    if declared == sha256 then
      redis.call('PERSIST', TOKENIZER .. sha256)
      return redis.call('EXISTS', TOKENIZER .. sha256)
    end
  end
  return redis.call('EXPIRE', TOKENIZER .. sha256, ttl_s)
end
