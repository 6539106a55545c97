-- free: kind id why
-- Gives back what `id` holds, or takes it out of the queue; nobody else's. `why` is the counter of
-- those who leave the queue for that reason, or empty.
local _, id, why = unpack(ARGV)
call('DEL', base .. 'g:' .. id, base .. 'n:' .. id, base .. 'e:' .. id)
local held = call('ZSCORE', H, id) and 1 or 0
local confirmed = held == 1 and not drop_holder(id)
local left = held == 1 and not confirmed or held == 0 and drop_waiter(id)
if confirmed then count('completed') end
if left and why ~= '' then count(why) end
purge()
pump()
return {'FREED', held, pending(id)}
