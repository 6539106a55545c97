-- settle: kind id...
-- Takes back the grants of waiters that are dead, and the places of those that were probed: nobody was
-- blocked on their lists, so one is still there. One who was only on the way there finds in g:<id>
-- that it has to ask again.
local dead = 0
for n = 2, #ARGV do
  local id = ARGV[n]
  if call('EXISTS', base .. 'g:' .. id, base .. 'n:' .. id) > 0 then
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
