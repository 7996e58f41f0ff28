local time = redis.call('TIME')
return {redis.call('ZRANGEBYSCORE', ANNOUNCED, time[1], '+inf'),
        redis.call('HGETALL', MODELS), redis.call('HGETALL', PACE), time,
        redis.call('HKEYS', DECLARED), redis.call('HGETALL', MODELS_SINCE)}
