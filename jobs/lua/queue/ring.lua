-- A bell holds at most one token. Enqueuing an id rings it; the worker that takes an id rings again if more ids wait. So
-- while ids wait, a token is in the bell or with a worker that is about to take an id.
-- If a worker dies with the token, the others wake at the end of their blocking wait at the latest.
local function ring(bell)
  if redis.call('EXISTS', bell) == 0 then redis.call('RPUSH', bell, 1) end
end
