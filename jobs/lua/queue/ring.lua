-- A bell holds one token at most. Whoever puts an id in line rings; the worker that takes an id rings on if more ids
-- wait; so as long as ids wait, there is a token in the bell or with a worker that is about to take an id.
-- A worker that dies with the token costs the others no more than the end of their blocking wait.
local function ring(bell)
  if redis.call('EXISTS', bell) == 0 then redis.call('RPUSH', bell, 1) end
end
