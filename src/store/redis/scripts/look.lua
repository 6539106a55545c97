-- look: kind
-- All of one key at one instant. Only reads.
local holders, waiters = {}, {}
local live = call('ZRANGEBYSCORE', H, '(' .. int(now), '+inf', 'WITHSCORES')
for n = 1, #live, 2 do
  local text = call('HGET', I, live[n])
  if text then holders[#holders + 1] = {live[n], tonumber(live[n + 1]) - now, text} end
end
local dead = {}
for _, id in ipairs(call('ZRANGEBYSCORE', A, '-inf', int(now))) do dead[id] = true end
local queue = call('ZRANGE', Q, 0, -1, 'WITHSCORES')
for n = 1, #queue, 2 do
  local text = call('HGET', I, queue[n])
  if text and not dead[queue[n]] then
    waiters[#waiters + 1] = {queue[n], math.ceil(-tonumber(queue[n + 1]) / PLACES), text}
  end
end
return {'LOOK', stored or -1, closed and 1 or 0, now, holders, waiters}
