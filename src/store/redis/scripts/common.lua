-- Stands before every script. All scripts of one key touch only keys of one cluster slot:
--   h ZSET  holder -> end of its lease          q ZSET  waiter -> its place (lowest first)
--   p ZSET  holder that has not confirmed yet   a ZSET  waiter -> until when it counts as alive
--           -> when it began to wait            w ZSET  watcher -> until when it counts as alive
--   i HASH  id -> record (below)                b bitmap of the slots in use
--   m HASH  epoch (when it was made), fence, tick, span, hold, max, closed, writer, watched (until
--           when somebody may watch), and the counters: admitted, completed, rejected, timed_out,
--           dismissed, expired, waited_us, longest_wait_us
--   s HASH  map that is under way -> until when it counts as alive, and what it shows (map.lua).
--           Maps also listen to the channel of that name.
--   c HASH  of a resource: its catalogue: version, text, done (the changes made last)
--   g:<id> LIST  wakes the waiter or watcher; carries no truth, `h` does
--   n:<id> LIST  the grant of who reads it there: when it was made, for how long, epoch, cap, record.
--          While it is there, nobody has read it, and the grant can be taken back
--   e:<id> the mark: what somebody has decided about `id` in its absence, until it must have noticed
--          T [us]  holder: end COMMAND, KILL so long after TERM
--          R       holder: the slot was given back; what it was told before stands behind it
--          D       waiter: dismissed                     N  waiter: left without any cap
--          A holder also listens to the channel of that name.
-- Times are microseconds of the server's clock. A record is one line of text:
--   fence since hard-end slots weight shared max expiry who
-- where `slots` of a waiter is `-n` when it reads its grant in n:<id>; `-` when not; `-us` when it may
-- end holders, KILL so long after TERM.
-- Nothing is written before everything was checked.
local H, Q, A, P, I, M, B = unpack(KEYS)
local base = string.sub(H, 1, -2)

-- Redis does not name the right that a script lacks. What failed had no effect: asked again, it
-- fails with the server's own words.
local function call(command, ...)
  local answer = redis.pcall(command, ...)
  if type(answer) == 'table' and answer.err then
    if string.find(answer.err, "can't run this command", 1, true) then
      error("NOPERM this user has no permissions to run the '" .. string.lower(command) ..
            "' command in a script")
    end
    redis.call(command, ...)
  end
  return answer
end
local LOCK = ARGV[1] == 'lock'

local PICKUP = 5e6     -- how long a grant waits to be confirmed
local ALIVE = 150e6    -- a waiter not heard of for so long is dead
local SPARE = 60e6     -- every key outlives the longest lease by this
local KEPT = 3600e6    -- and the books themselves by this, for the counters in them
local PLACES = 2 ^ 46  -- places per priority

local time = call('TIME')
local now = time[1] * 1e6 + time[2]

local function int(x) return string.format('%.0f', x) end

local meta = call('HMGET', M, 'epoch', 'fence', 'tick', 'span', 'max', 'closed', 'writer',
                  'hold', 'watched')
local epoch = meta[1]
local fence = tonumber(meta[2] or 0)
local tick = tonumber(meta[3] or 0)
local span = tonumber(meta[4] or 0)
local stored = meta[5] and tonumber(meta[5])
local closed = meta[6] == '1'
local writer = tonumber(meta[7] or 0)
local hold = tonumber(meta[8] or 0)
local watched = tonumber(meta[9] or 0) > now

-- A pool's own settings stay; all else goes when nobody has used it for long enough.
local function save_meta()
  epoch = epoch or int(now)
  call('HSET', M, 'epoch', epoch, 'fence', int(fence), 'tick', int(tick), 'span', int(span),
       'writer', int(writer), 'hold', int(hold))
  if not stored and not closed then
    call('PEXPIRE', M, int((math.max(span, ALIVE) + KEPT) / 1000))
  end
end

-- Not before the books are begun: it would be left behind for ever.
local function count(what, by)
  if epoch then call('HINCRBY', M, what, int(by or 1)) end
end

local function touch(...)
  local ms = int((math.max(span, ALIVE) + SPARE) / 1000)
  for _, key in ipairs({...}) do call('PEXPIRE', key, ms) end
end

local function wake(id)
  call('RPUSH', base .. 'g:' .. id, 1)
  call('PEXPIRE', base .. 'g:' .. id, int(SPARE / 1000))
end

-- Something has changed that somebody may be waiting for. They look when this script is through.
local function notify()
  if not watched then return end
  watched = false
  for _, id in ipairs(call('ZRANGEBYSCORE', base .. 'w', int(now), '+inf')) do
    if call('EXISTS', base .. 'g:' .. id) == 0 then wake(id) end
  end
end

-- Tells maps that somebody has come to wait (W; but for the one that it is itself, `who`), or that there
-- is another cap or the pool was closed or opened (C). A message only makes haste. Locks and resources have
-- no maps, and pay nothing.
local function tell_maps(what, who)
  if ARGV[1] ~= 'pool' then return end
  local shown = redis.pcall('HGETALL', base .. 's')
  for n = 2, #shown, 2 do
    if not who or string.sub(shown[n], -#who - 1) ~= ' ' .. who then
      redis.pcall('PUBLISH', base .. 's', what)
      return
    end
  end
end

-- Leaves a mark, and tells a holder that listens. Who may not publish is found out by `doctor`: the
-- holder then notices by itself.
local function tell(id, mark)
  call('SET', base .. 'e:' .. id, mark, 'PX', int((math.max(span, ALIVE) + SPARE) / 1000))
  if string.find(mark, '^[RT]') then redis.pcall('PUBLISH', base .. 'e:' .. id, mark) end
end

-- The answers for many names, in order, with few commands, as one takes some thousands at most.
local function each(names, ask)
  local answers = {}
  for first = 1, #names, 1000 do
    local last = math.min(first + 999, #names)
    local some = ask(unpack(names, first, last))
    for n = first, last do answers[n] = some[n - first + 1] end
  end
  return answers
end

local function texts_of(ids)
  return each(ids, function(...) return call('HMGET', I, ...) end)
end

local function marks_of(ids)
  local names = {}
  for n, id in ipairs(ids) do names[n] = base .. 'e:' .. id end
  return each(names, function(...) return call('MGET', ...) end)
end

local function parse(text)
  local r = {}
  r.fence, r.since, r.hard, r.slots, r.weight, r.shared, r.max, r.expiry, r.who =
    string.match(text or '', '^(%d+) (%d+) (%d+) (%S+) (%d+) ([01]) (%d+) (%d+) (.*)$')
  if not r.who then
    error('DAMAGED state in ' .. base .. '*: delete these keys when nobody holds it or waits')
  end
  r.fence, r.hard = tonumber(r.fence), tonumber(r.hard)
  r.weight, r.max, r.expiry = tonumber(r.weight), tonumber(r.max), tonumber(r.expiry)
  r.shared = r.shared == '1'
  return r
end

local function text_of(r)
  return string.format('%.0f %s %.0f %s %d %d %.0f %.0f %s', r.fence, r.since, r.hard, r.slots,
                       r.weight, r.shared and 1 or 0, r.max, r.expiry, r.who)
end

local function record(id) return parse(call('HGET', I, id)) end

local function cap_of(r) return stored or r.max end

local function each_slot(slots, visit)
  for from, to in string.gmatch(slots, '(%d+)%-(%d+)') do
    for slot = tonumber(from), tonumber(to) do visit(slot) end
  end
end

-- The lowest free slots, as ranges: 0-2,5-5
local function allocate(weight)
  local ranges, first, last = {}, nil, nil
  for _ = 1, weight do
    local slot = call('BITPOS', B, 0)
    call('SETBIT', B, slot, 1)
    if first and slot == last + 1 then
      last = slot
    else
      if first then ranges[#ranges + 1] = first .. '-' .. last end
      first, last = slot, slot
    end
  end
  ranges[#ranges + 1] = first .. '-' .. last
  return table.concat(ranges, ',')
end

-- Whether it had not confirmed its grant yet. Should it not have read it either, it asks instead.
local function drop_holder(id)
  local pending = call('ZSCORE', P, id)
  if pending and call('DEL', base .. 'n:' .. id) == 1 then wake(id) end
  local text = call('HGET', I, id)
  call('ZREM', H, id)
  if text then
    each_slot(parse(text).slots, function(slot) call('SETBIT', B, slot, 0) end)
    call('HDEL', I, id)
  end
  if pending then call('ZREM', P, id) end
  -- Also gets rid of slots whose record was lost.
  if call('ZCARD', H) == 0 then call('DEL', B) end
  notify()
  return pending and true
end

-- Whether it was there.
local function drop_waiter(id)
  local queued = call('ZREM', Q, id) == 1
  call('ZREM', A, id)
  call('HDEL', I, id)
  if queued then notify() end
  return queued
end

-- Takes a waiter out of the queue, and tells it why.
local function send_away(id, mark)
  tell(id, mark)
  wake(id)
  drop_waiter(id)
end

-- How many.
local function dismiss_all()
  local ids = call('ZRANGE', Q, 0, -1)
  for _, id in ipairs(ids) do send_away(id, 'D') end
  if #ids > 0 then count('dismissed', #ids) end
  return #ids
end

-- Drops who is past its end. Whoever calls this pumps afterwards.
local function purge()
  local expired = 0
  local holders = call('ZRANGEBYSCORE', H, '-inf', int(now), 'LIMIT', 0, 1000)
  for _, id in ipairs(holders) do
    if not drop_holder(id) then expired = expired + 1 end
  end
  if expired > 0 then count('expired', expired) end
  local waiters = call('ZRANGEBYSCORE', A, '-inf', int(now), 'LIMIT', 0, 1000)
  for _, id in ipairs(waiters) do drop_waiter(id) end
  return #holders + #waiters
end

local function writer_holds()
  local first = call('ZRANGE', H, 0, 0)[1]
  return first and not record(first).shared
end

local function fits(r)
  if now < hold then return false end
  if LOCK then
    if r.shared then return not writer_holds() end
    return call('ZCARD', H) == 0
  end
  return call('BITCOUNT', B) + r.weight <= cap_of(r)
end

-- Somebody knows more than the books: data was lost. Nobody is let in until all who hold a slot
-- must have noticed, too, and have added themselves again.
local function lost_since(when, lease)
  hold = math.max(hold, when + 0.4 * math.max(span, lease) + 1e6)
end

-- r becomes a holder until `lease_end`, or until its own hard end.
local function admit(id, r, lease_end)
  fence = math.max(fence + 1, now)
  if LOCK and not r.shared then writer = fence end
  r.fence = fence
  r.since = int(now)
  r.hard = r.expiry > 0 and now + r.expiry or 0
  r.slots = allocate(r.weight)
  if r.hard > 0 then lease_end = math.min(lease_end, r.hard) end
  local text = text_of(r)
  call('HSET', I, id, text)
  call('ZADD', H, int(lease_end), id)
  notify()
  return text
end

-- The grant of `id` is taken up, if it was one.
local function confirm(id, since)
  local came = call('ZSCORE', P, id)
  if not came then return false end
  call('ZREM', P, id)
  count('admitted')
  local waited = math.max(tonumber(since) - tonumber(came), 0)
  count('waited_us', waited)
  if waited > tonumber(call('HGET', M, 'longest_wait_us') or 0) then
    call('HSET', M, 'longest_wait_us', int(waited))
  end
  return true
end

-- For the head of the queue, or one who arrives, that does not fit and may end holders: those that came first, as few as
-- it needs, counting those that are ending already. All holders of a lock have to go: where one
-- stands in the way, all do.
local function make_room(r, kill_after)
  if now < hold then return end
  local ids = call('ZRANGE', H, 0, -1)
  local texts, marks = texts_of(ids), marks_of(ids)
  local need = LOCK and math.huge or call('BITCOUNT', B) + r.weight - cap_of(r)
  local staying = {}
  for n, id in ipairs(ids) do
    local holder = parse(texts[n])
    if marks[n] then
      need = need - holder.weight
    else
      staying[#staying + 1] = {id, holder}
    end
  end
  table.sort(staying, function(one, other) return one[2].fence < other[2].fence end)
  for _, holder in ipairs(staying) do
    if need <= 0 then break end
    tell(holder[1], 'T ' .. kill_after)
    need = need - holder[2].weight
  end
end

-- Gives what is free to the head of the queue, and only ever to the head.
local function pump()
  local granted = 0
  while true do
    local id = call('ZRANGE', Q, 0, 0)[1]
    if not id then break end
    local text = call('HGET', I, id)
    if text then
      local r = parse(text)
      if not fits(r) then
        local kill_after = string.match(r.slots, '^%-(%d+)$')
        if kill_after then make_room(r, kill_after) end
        break
      end
      -- The lists first: the only ones that a cluster on the move can refuse.
      local list = r.slots == '-n' and base .. 'n:' .. id
      if list then call('EXISTS', list) else wake(id) end
      call('ZREM', Q, id)
      call('ZREM', A, id)
      call('ZADD', P, r.since, id)
      local kept = admit(id, r, now + PICKUP)
      if list then
        epoch = epoch or int(now)
        call('RPUSH', list, table.concat({int(now), int(PICKUP), epoch, int(cap_of(r)), kept}, ' '))
        call('PEXPIRE', list, int(SPARE / 1000))
      end
      granted = granted + 1
      if LOCK and not r.shared then break end  -- nobody else fits
    else
      drop_waiter(id)
    end
  end
  if granted > 0 then
    save_meta()
    touch(H, I, B, P)
  end
  return granted
end

-- Grants that nobody has confirmed yet; the caller has to look whether they were taken up.
local function pending(except)
  local list = {}
  for _, id in ipairs(call('ZRANGE', P, 0, 99)) do
    if id ~= except then list[#list + 1] = id end
  end
  return list
end
