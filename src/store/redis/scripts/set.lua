-- set: kind name value
-- The pool's own settings, for everyone: `max` and `closed`; an empty value takes it away.
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
purge()
pump()
return {'SET', pending('')}
