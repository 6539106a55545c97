-- size: kind
-- Slots in use. Only reads; what has expired is left out, not dropped.
local used = call('BITCOUNT', B)
for _, id in ipairs(call('ZRANGEBYSCORE', H, '-inf', int(now))) do used = used - record(id).weight end
return {'SIZE', used}
