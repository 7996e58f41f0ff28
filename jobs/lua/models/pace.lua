local old = tonumber(redis.call('HGET', PACE, ARGV[1]) or ARGV[2])
redis.call('HSET', PACE, ARGV[1], tostring(old + (tonumber(ARGV[2]) - old) * tonumber(ARGV[3])))
