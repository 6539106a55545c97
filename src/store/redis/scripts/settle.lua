-- settle: kind id...
-- Takes back the grants of waiters that are dead, and the places of those that were probed: nobody was
-- blocked on their list, so it is still there. It stays, so that one who was only on the way there
-- learns that it has to ask again.
local dead = 0
for n = 2, #ARGV do
  local id = ARGV[n]
  if call('EXISTS', base .. 'g:' .. id) == 1 then
    if call('ZSCORE', P, id) then
      drop_holder(id)
      dead = dead + 1
    elseif drop_waiter(id) then
      dead = dead + 1
    end
  end
end
purge()
local granted = pump()
return {'SETTLED', dead, granted > 0 and pending('') or {}}
