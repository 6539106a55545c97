-- keep: kind id epoch lease record
-- Extends a lease, and takes up a grant that was read in n:<id>. A holder that is not in the books any more is added again when the server has
-- lost data (its command does run), or when nobody took its place meanwhile; but not when somebody
-- gave the slot back for it. Says what mark there is.
local _, id, known, lease, text = unpack(ARGV)
lease = tonumber(lease)
local me = parse(text)

-- Writes nothing most of the time, but lets the rest go on when the server is out of memory: a
-- script that has begun to write is not stopped.
call('DEL', base .. 'g:' .. id, base .. 'n:' .. id)

local mark = call('GET', base .. 'e:' .. id) or ''
if string.sub(mark, 1, 1) == 'R' then return {'KEPT', epoch or '', mark} end
if me.hard > 0 and now >= me.hard then return {'ENDED', epoch or '', mark} end
local lease_end = now + lease
if me.hard > 0 then lease_end = math.min(lease_end, me.hard) end

local function hold(answer)
  span = math.max(span, lease)
  call('ZADD', H, int(lease_end), id)
  save_meta()
  touch(H, I, B, Q, A)
  confirm(id, me.since)
  if mark ~= '' then touch(base .. 'e:' .. id) end
  return {answer, epoch, mark}
end

if call('ZSCORE', H, id) then return hold('KEPT') end

local function slots_free()
  local free = true
  each_slot(me.slots, function(slot)
    if call('GETBIT', B, slot) == 1 then free = false end
  end)
  return free
end

local function add_again()
  drop_waiter(id)  -- where a replica has not heard of its grant
  if slots_free() then
    each_slot(me.slots, function(slot) call('SETBIT', B, slot, 1) end)
  else
    me.slots = allocate(me.weight)
  end
  call('HSET', I, id, text_of(me))
  notify()
end

if epoch ~= known or fence < me.fence then
  local since = now
  if epoch ~= known then
    epoch = epoch or int(now)
    since = tonumber(epoch)
  end
  lost_since(since, lease)
  fence = math.max(fence, me.fence)
  if LOCK and not me.shared then writer = math.max(writer, me.fence) end
  add_again()
  return hold('AGAIN')
end

local room
if ARGV[1] == 'resource' then
  room = false  -- what it had may be lent to somebody else by now
elseif not LOCK then
  room = slots_free() and call('BITCOUNT', B) + me.weight <= cap_of(me)
elseif me.shared then
  room = writer < me.fence
else
  room = fence == me.fence
end
if not room then return {'LOST', epoch, mark} end
add_again()
return hold('KEPT')
