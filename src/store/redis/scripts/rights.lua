-- rights: kind
-- Tries each command that the scripts use, on keys that nobody else uses, and says what was refused,
-- and why. Leaves only g:x, a list with one element, for the caller to try BLPOP on. Stands alone.
local H, Q, A, P, I, M, B = unpack(KEYS)
local base = string.sub(H, 1, -2)
local refused = {}
local function try(command, ...)
  local answer = redis.pcall(command, ...)
  if type(answer) == 'table' and answer.err then
    refused[#refused + 1] = {string.lower(command), answer.err}
  end
end
try('TIME')
try('ZADD', H, 1, 'x')
try('PEXPIRE', H, 10000)
try('ZSCORE', H, 'x')
try('ZCARD', H)
try('ZRANGE', H, 0, 0)
try('ZRANK', H, 'x')
try('ZRANGEBYSCORE', H, 0, 1)
try('ZREM', H, 'x')
try('HSET', M, 'x', 1)
try('HINCRBY', M, 'x', 1)
try('HGET', M, 'x')
try('HMGET', M, 'x')
try('HGETALL', M)
try('HDEL', M, 'x')
try('PERSIST', M)
try('SETBIT', B, 0, 0)
try('GETBIT', B, 0)
try('BITPOS', B, 0)
try('BITCOUNT', B)
try('SET', base .. 'e:x', 'T', 'PX', 10000)
try('GET', base .. 'e:x')
try('MGET', base .. 'e:x')
try('PUBLISH', base .. 'e:x', 'T')
try('EXISTS', Q)
try('DEL', H, M, B, base .. 'e:x')
try('RPUSH', base .. 'g:x', 1)
try('PEXPIRE', base .. 'g:x', 10000)
return refused
