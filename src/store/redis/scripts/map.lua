-- map: kind id since age figures who
-- Shows a map that is under way for a while, or (without figures) no more. `since` is what the last
-- call has answered; 0 at first, when it began `age` ago. Drops what the dead have left. Answers with
-- what such a map wants to know, should it have missed a message: cap and closing, and how many wait.
-- Stands alone, without common.lua.
local SHOWN = 15e6
local _, id, since, age, figures, who = unpack(ARGV)
local S = string.sub(KEYS[1], 1, -2) .. 's'
local call = redis.call
local time = call('TIME')
local now = time[1] * 1e6 + time[2]
local function int(x) return string.format('%.0f', x) end
if since == '0' then since = int(now - age) end
local shown = call('HGETALL', S)
for n = 1, #shown, 2 do
  if tonumber(string.match(shown[n + 1], '^(%d+) ') or 0) <= now then call('HDEL', S, shown[n]) end
end
if figures == '' then
  call('HDEL', S, id)
else
  call('HSET', S, id, int(now + SHOWN) .. ' ' .. since .. ' ' .. figures .. ' ' .. who)
  call('PEXPIRE', S, int(SHOWN / 1000))
end
local meta = call('HMGET', KEYS[6], 'max', 'closed')
return {'MAP', since, (meta[1] or '') .. ' ' .. (meta[2] or ''), call('ZCARD', KEYS[2])}
