-- change: kind version token text max closed
-- Replaces the catalogue, the cap and the closing of a resource, if nobody has since `version` was
-- read. Safe to repeat with the same token: what was done once is not done again.
local _, version, token, text, max, closing = unpack(ARGV)
local C = base .. 'c'
local kept = call('HMGET', C, 'version', 'done')
local done = kept[2] or ''
if string.find(done, token, 1, true) then return {'CHANGED', pending('')} end
if (kept[1] or '0') ~= version then return {'STALE', {}} end
if text == '' then
  call('DEL', C)
else
  call('HSET', C, 'version', int(math.max(now, tonumber(version) + 1)), 'text', text,
       'done', string.sub(token .. ' ' .. done, 1, 1000))
end
local cap = tonumber(max)
if cap ~= stored or (closing == '1') ~= closed then
  stored, closed = cap, closing == '1'
  save_meta()
  if stored then call('HSET', M, 'max', max) else call('HDEL', M, 'max') end
  if closed then call('HSET', M, 'closed', '1') else call('HDEL', M, 'closed') end
  if stored or closed then call('PERSIST', M) end
  notify()
  purge()
  pump()
end
return {'CHANGED', pending('')}
