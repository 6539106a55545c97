-- catalogue: kind settle
-- The catalogue of a resource, and who holds a slot of it. With settle = 1 those whose leases have
-- ended are dropped first: what they have is lent to others from now on, so they must not come back.
local _, tidy = unpack(ARGV)
if tidy == '1' and purge() > 0 then pump() end
local C = base .. 'c'
local kept = call('HMGET', C, 'version', 'text')
local ids = call('ZRANGEBYSCORE', H, '(' .. int(now), '+inf')
local holders, texts = {}, texts_of(ids)
for n, id in ipairs(ids) do
  if texts[n] then holders[#holders + 1] = {id, parse(texts[n]).fence} end
end
local waiting = #call('ZRANGEBYSCORE', A, '(' .. int(now), '+inf')
return {'CATALOGUE', kept[1] or '0', kept[2] or '', holders, waiting, now,
        stored or -1, closed and 1 or 0,
        tidy == '1' and pending('') or {}}
