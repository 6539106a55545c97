-- end: kind id mark
-- Marks the holder `id`, or all of them where it is empty, and says which. With the mark R their
-- slots are given back; with T they hold until they give them back themselves.
local _, id, mark = unpack(ARGV)
-- Writes nothing, but lets the rest go on when the server is out of memory, as in keep.
call('DEL', base .. 'g:')
purge()
local ids = call('ZRANGE', H, 0, -1)
if id ~= '' then ids = call('ZSCORE', H, id) and {id} or {} end
local marked = {}
for _, holder in ipairs(ids) do
  -- A grant that nobody has confirmed is no more than a place in the queue: it stays one.
  if mark ~= 'R' then
    tell(holder, mark)
    marked[#marked + 1] = holder
  elseif not call('ZSCORE', P, holder) then
    tell(holder, mark .. (call('GET', base .. 'e:' .. holder) or ''))
    drop_holder(holder)
    marked[#marked + 1] = holder
  end
end
if mark == 'R' and #marked > 0 then count('completed', #marked) end
if #marked > 0 then notify() end
pump()
return {'MARKED', marked, pending('')}
