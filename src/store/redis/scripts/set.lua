-- set: kind name value
-- The pool's own settings, for everyone: `max` and `closed`; an empty value takes it away. Who relied
-- on a cap that is no more cannot go on waiting.
local _, name, value = unpack(ARGV)
if value == '' then
  if epoch then call('HDEL', M, name) end
else
  call('HSET', M, name, value)
end
if name == 'max' then stored = tonumber(value) else closed = value ~= '' end
if value ~= '' or epoch then
  save_meta()
  if stored or closed then call('PERSIST', M) end
end
notify()
tell_maps('C')
purge()
if name == 'max' and not stored then
  local ids = call('ZRANGE', Q, 0, -1)
  for n, text in ipairs(texts_of(ids)) do
    if text and parse(text).max == 0 then send_away(ids[n], 'N') end
  end
end
pump()
return {'SET', pending('')}
