-- free: kind id why
-- Gives back what `id` holds, or takes it out of the queue; nobody else's. `why` is the counter of
-- those who leave the queue for that reason, or empty; `rejected` also counts who never was in it.
local _, id, why = unpack(ARGV)
call('DEL', base .. 'g:' .. id, base .. 'n:' .. id, base .. 'e:' .. id)
local lease_end = call('ZSCORE', H, id)
local held = lease_end and 1 or 0
local confirmed = held == 1 and not drop_holder(id)
local left = held == 1 and not confirmed or held == 0 and drop_waiter(id)
if confirmed then count(tonumber(lease_end) <= now and 'expired' or 'completed') end
if why ~= '' and (left or held == 0 and why == 'rejected') then count(why) end
purge()
pump()
return {'FREED', held, pending(id)}
