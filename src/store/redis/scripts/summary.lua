-- summary: kind
-- One key of many, in a few numbers. Only reads; stands alone, without common.lua.
local H, Q, A, _, I, M, B = unpack(KEYS)
local call = redis.call
local time = call('TIME')
local now = time[1] .. string.format('%06d', time[2])
local meta = call('HMGET', M, 'max', 'closed')
local used = call('BITCOUNT', B)
local waiting = call('ZCARD', Q)
local gone = {}
for _, id in ipairs(call('ZRANGEBYSCORE', H, '-inf', now)) do gone[id] = 'holder' end
for _, id in ipairs(call('ZRANGEBYSCORE', A, '-inf', now)) do
  gone[id] = 'waiter'
  waiting = waiting - 1
end
local max = 0
if next(gone) or not meta[1] then
  local records = call('HGETALL', I)
  for n = 1, #records, 2 do
    local weight, its_max = string.match(records[n + 1], '^%d+ %d+ %d+ %S+ (%d+) [01] (%d+) ')
    if not weight then error('DAMAGED state in ' .. string.sub(H, 1, -2) .. '*: delete these keys when nobody holds it or waits') end
    if gone[records[n]] == 'holder' then
      used = used - weight
    elseif not gone[records[n]] then
      max = math.max(max, tonumber(its_max))
    end
  end
end
return {'SUMMARY', used, waiting, tonumber(meta[1] or max), meta[1] and 1 or 0,
        meta[2] and 1 or 0}
