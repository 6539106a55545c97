-- look: kind watcher
-- All of one key at one instant. Only reads, unless somebody wants to be woken by the next change.
local WATCH = 60e6  -- so long, if not heard of before
local _, watcher = unpack(ARGV)
if watcher ~= '' then
  -- What woke it before is told by this answer. Also lets the rest go on when the server is out of
  -- memory, as in keep.
  call('DEL', base .. 'g:' .. watcher)
  call('ZADD', base .. 'w', int(now + WATCH), watcher)
  call('PEXPIRE', base .. 'w', int((WATCH + SPARE) / 1000))
  call('HSET', M, 'watched', int(now + WATCH))
  if not epoch then call('PEXPIRE', M, int((WATCH + SPARE) / 1000)) end
end

local function living(zset)
  return call('ZRANGEBYSCORE', zset, '(' .. int(now), '+inf', 'WITHSCORES')
end

local next_end = -1
local function ends(at)
  local left = tonumber(at) - now
  if next_end < 0 or left < next_end then next_end = left end
  return left
end

local ids, lease_ends = {}, {}
local live = living(H)
for n = 1, #live, 2 do
  ids[#ids + 1] = live[n]
  lease_ends[#ids] = ends(live[n + 1])
end
local holders, texts, marks = {}, texts_of(ids), marks_of(ids)
for n, id in ipairs(ids) do
  if texts[n] then
    holders[#holders + 1] = {id, lease_ends[n], texts[n], marks[n] and 1 or 0}
  end
end

local alive = {}
live = living(A)
for n = 1, #live, 2 do
  alive[live[n]] = true
  ends(live[n + 1])
end
local waiters, queue, places = {}, {}, {}
live = call('ZRANGE', Q, 0, -1, 'WITHSCORES')
for n = 1, #live, 2 do
  if alive[live[n]] then
    queue[#queue + 1] = live[n]
    places[#queue] = math.ceil(-tonumber(live[n + 1]) / PLACES)
  end
end
texts = texts_of(queue)
for n, id in ipairs(queue) do
  if texts[n] then waiters[#waiters + 1] = {id, places[n], texts[n]} end
end

local counters = call('HMGET', M, 'admitted', 'completed', 'rejected', 'timed_out', 'dismissed',
                      'expired', 'waited_us', 'longest_wait_us')
for n = 1, #counters do counters[n] = tonumber(counters[n] or 0) end
-- Also those that nobody has dropped yet.
for _, id in ipairs(call('ZRANGEBYSCORE', H, '-inf', int(now))) do
  if not call('ZSCORE', P, id) then counters[6] = counters[6] + 1 end
end
-- Only for the eye: what is no map is left out.
local maps = {}
local shown = redis.pcall('HGETALL', base .. 's')
if not shown.err then
  for n = 2, #shown, 2 do
    local until_, text = string.match(shown[n], '^(%d+) (.*)$')
    if until_ and tonumber(until_) > now then maps[#maps + 1] = text end
  end
end
return {'LOOK', stored or -1, closed and 1 or 0, now, holders, waiters, next_end, counters,
        tonumber(epoch or 0), maps}
