-- take: kind id known place wait follow lease priority weight shared max expiry shed-slots shed-percent
--       queue-max replace kill-after who
-- Admits the caller, or queues it (wait = 1), or says why not. Safe to repeat with the same id:
-- who holds already is confirmed, who waits already goes on waiting. `place` is 0 on arrival, later
-- what WAIT answered, so that a place survives the loss of all data, with the epoch it answered.
-- follow = 1: a BLPOP of ours comes right behind; every answer but WAIT ends it.
-- replace: `running`, `waiting`, `both` or empty.
local _, id, known, place, wait, follow, lease, priority, weight, shared, max, expiry, shed_slots,
  shed_percent, queue_max, replace, kill_after, who = unpack(ARGV)
place, lease, priority = tonumber(place), tonumber(lease), tonumber(priority)
shed_slots, shed_percent = tonumber(shed_slots), tonumber(shed_percent)
queue_max = tonumber(queue_max)

local me = {
  fence = 0, since = int(now), hard = 0, weight = tonumber(weight),
  slots = (replace == 'running' or replace == 'both') and '-' .. kill_after or '-n',
  shared = shared == '1', max = tonumber(max), expiry = tonumber(expiry), who = who,
}

-- Holders of a lock without an end: one of them may be an ancestor of the caller.
local function endless_holders()
  local list = {}
  if not LOCK then return list end
  for _, holder in ipairs(call('ZRANGE', H, 0, 63)) do
    local r = record(holder)
    if r.hard == 0 then list[#list + 1] = {holder, r.shared and 1 or 0, r.who} end
  end
  return list
end

local REJECTED = {CLOSED = true, SHED = true, FULL = true, QUEUE = true}

-- Whether it is the queue that keeps it out, not the slots in use: whoever is in front may be dead.
local function behind(r) return fits(r) and 1 or 0 end

local function refuse(kind, obstructed)
  local unconfirmed = pending(id)
  -- Who may find that the dead were in its way asks again, and counts itself when it does not.
  local final = obstructed ~= 1 and (kind ~= 'FULL' or #unconfirmed == 0)
  -- No refusal fails because it cannot be counted.
  if epoch and final and REJECTED[kind] then redis.pcall('HINCRBY', M, 'rejected', 1) end
  if follow == '1' then wake(id) end
  return {kind, {cap_of(me), obstructed or 0, final and 1 or 0}, unconfirmed, endless_holders()}
end

-- `r`, `text`: its record where it did not wait, and this is the first answer about it.
local function admitted(r, text)
  local at_once = r
  if not at_once then
    text = call('HGET', I, id)
    r = parse(text)
    call('ZADD', H, int(r.hard > 0 and math.min(now + lease, r.hard) or now + lease), id)
  end
  span = math.max(span, lease)
  save_meta()
  touch(H, I, B)
  if at_once then
    count('admitted')
  elseif confirm(id, r.since) then
    call('DEL', base .. 'n:' .. id)
  end
  if follow == '1' then wake(id) end
  local first = string.match(r.slots, '^%d+')
  return {'OK', {r.fence, tonumber(first), cap_of(r), epoch, text}, pending(id)}
end

local function waiting()
  call('ZADD', A, int(now + ALIVE), id)
  save_meta()
  touch(Q, A, H, I, B)
  local first = tonumber(call('ZRANGE', H, 0, 0, 'WITHSCORES')[2] or -1)
  if hold > now and (first < 0 or hold < first) then first = hold end
  local rank = call('ZRANK', Q, id)
  return {'WAIT', {int(place), rank, first >= 0 and first - now or -1, cap_of(me), now, epoch,
                   rank > 0 and behind(record(id)) or 0}, pending(id), endless_holders()}
end

if known ~= '' and epoch ~= known then
  epoch = epoch or int(now)
  lost_since(tonumber(epoch), lease)
end
local purged = purge()
if call('ZSCORE', H, id) then return admitted() end
local queued = call('ZSCORE', Q, id)
if queued then
  place = tonumber(queued)
  pump()
  if call('ZSCORE', H, id) then return admitted() end
  return waiting()
end

local arriving = place == 0
if arriving then
  if cap_of(me) == 0 then return refuse('NOCAP') end
  if not LOCK and me.weight > cap_of(me) then return refuse('WEIGHT') end
  if closed then return refuse('CLOSED') end
  local limit = shed_percent >= 0 and shed_percent / 100 * cap_of(me) or shed_slots
  if limit >= 0 and call('BITCOUNT', B) >= limit then
    if purged > 0 then pump() end
    return refuse('SHED')
  end
  tick = math.max(tick + 1, math.floor(now / 1000))
  place = tick - priority * PLACES
  if replace == 'waiting' or replace == 'both' then dismiss_all() end
else
  if call('GET', base .. 'e:' .. id) == 'D' then return refuse('DISMISSED') end
  -- It has been taken away, or was lost.
  if cap_of(me) == 0 then return refuse('NOCAP') end
end

local function my_turn()
  local head = call('ZRANGE', Q, 0, 0, 'WITHSCORES')
  return (not head[2] or place < tonumber(head[2])) and fits(me)
end

local turn = my_turn()
if not turn and pump() > 0 then turn = my_turn() end
if turn then
  local text = admit(id, me, now + lease)
  if purged > 0 then pump() end
  return admitted(me, text)
end
-- While holders are still being heard of again, nobody can tell whether it is full.
if wait ~= '1' then return refuse(now < hold and 'LOST' or 'FULL', behind(me)) end
if arriving and queue_max >= 0 and call('ZCARD', Q) >= queue_max then
  return refuse('QUEUE', queue_max > 0 and 1 or 0)
end
call('ZADD', Q, int(place), id)
call('HSET', I, id, text_of(me))
notify()
tell_maps('W', who)
-- Who may end holders does so now: those that stand in its way, also when others wait before it.
if me.slots ~= '-n' then
  pump()
  if call('ZSCORE', Q, id) and not fits(me) then make_room(me, kill_after) end
end
return waiting()
