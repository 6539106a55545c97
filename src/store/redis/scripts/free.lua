-- free: kind id
-- Gives back what `id` holds, or takes it out of the queue; nobody else's.
local _, id = unpack(ARGV)
call('DEL', base .. 'g:' .. id)
local held = call('ZSCORE', H, id) and 1 or 0
if held == 1 then drop_holder(id) else drop_waiter(id) end
purge()
pump()
return {'FREED', held, pending(id)}
