-- size: kind
-- Slots in use. Only reads; what has expired is left out, not dropped. Stands alone, without
-- common.lua, as pools can be large and are looked at often.
local H, I, B = KEYS[1], KEYS[5], KEYS[7]
local call = redis.call
local time = call('TIME')
local used = call('BITCOUNT', B)
for _, id in ipairs(call('ZRANGEBYSCORE', H, '-inf', time[1] .. string.format('%06d', time[2]))) do
  local weight = string.match(call('HGET', I, id) or '', '^%d+ %d+ %d+ %S+ (%d+) ')
  if not weight then error('DAMAGED state in ' .. string.sub(H, 1, -2) .. '*: delete these keys when nobody holds it or waits') end
  used = used - weight
end
return {'SIZE', used}
