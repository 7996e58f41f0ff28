-- include queue/ring
-- KEYS: the lines in the order of their priorities, the list of taken ids, bell -> id, number of its line (1, ...) | nil
-- The move is atomic: an id is in a line or among the taken ones, whenever the worker dies. A taken id without a claim is
-- under no lease, so the reaper requeues it; likewise if the reply was lost and the worker's retry took the next id.
local taken, bell = KEYS[#KEYS - 1], KEYS[#KEYS]
for number = 1, #KEYS - 2 do
  local id = redis.call('LMOVE', KEYS[number], taken, 'LEFT', 'RIGHT')
  if id then
    for other = number, #KEYS - 2 do
      if redis.call('EXISTS', KEYS[other]) == 1 then ring(bell) end
    end
    return {id, number}
  end
end
-- Nothing waits, so a token would only wake a worker for nothing.
redis.call('DEL', bell)
return false
