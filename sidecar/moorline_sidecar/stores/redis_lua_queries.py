"""The Lua of the verbs that look, and of those that go over many sessions."""

from __future__ import annotations

from typing import Final

LOAD: Final = """\
local found = {}
for i, key in ipairs(KEYS) do found[i] = call('HGETALL', key) end
return found
"""

CONFIRM: Final = """\
local found = {}
for i, key in ipairs(KEYS) do found[i] = call('HMGET', key, unpack(ARGV)) end
return found
"""

# What a person deleted by hand leaves its place in an index behind: it goes when it is met.
EXPIRED: Final = """\
-- before, limit
local found = {}
for _, id in ipairs(call('ZRANGE', EXPIRY, '-inf', '(' .. ARGV[1], 'BYSCORE', 'LIMIT', 0,
  ARGV[2])) do
  local s = call('HMGET', SESSION .. id, 'accessed', 'expiry', 'lastNode')
  if s[1] then found[#found + 1] = {id, s[1], s[2], s[3]} else call('ZREM', EXPIRY, id) end
end
return found
"""

COPIES: Final = """\
-- before, limit
local found = {}
for _, id in ipairs(call('ZRANGE', COPIES, '-inf', '(' .. ARGV[1], 'BYSCORE', 'LIMIT', 0,
  ARGV[2])) do
  local s = call('HMGET', SESSION .. id, 'renewOf', 'version')
  if s[1] then found[#found + 1] = {id, s[1], s[2]} else call('ZREM', COPIES, id) end
end
return found
"""

BY_PRINCIPAL: Final = """\
-- principal, after, limit
local first = member_of(ARGV[1], '')
local from = ARGV[2] == '' and '[' .. first or '(' .. first .. ARGV[2]
-- What begins so ends where the last colon would be the next character, a semicolon.
local to = '(' .. string.sub(first, 1, -2) .. ';'
local found = {}
for _, member in ipairs(call('ZRANGE', PRINCIPALS, from, to, 'BYLEX', 'LIMIT', 0, ARGV[3])) do
  local id = string.sub(member, #first + 1)
  local s = call('HMGET', SESSION .. id, 'created', 'accessed', 'expiry', 'lastNode', 'renewOf',
    'principal')
  if s[6] == ARGV[1] then
    found[#found + 1] = {id, s[1], s[2], s[3], s[4], s[5]}
  else
    call('ZREM', PRINCIPALS, member)
  end
end
return found
"""

DROP_GRACE: Final = """\
-- before, limit, the fields that stay
local due = call('ZRANGE', GRACES, '-inf', '(' .. ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])
for _, id in ipairs(due) do
  local key = SESSION .. id
  call('ZREM', GRACES, id)
  local kept = call('HMGET', key, unpack(ARGV, 3))
  call('DEL', key)
  for i, value in ipairs(kept) do
    if value then call('HSET', key, ARGV[i + 2], value) end
  end
end
return #due
"""

# An ended session is final: nobody has to be told that its tombstone is gone.
PURGE_ENDED: Final = """\
-- before, limit
local due = call('ZRANGE', ENDED, '-inf', '(' .. ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])
for _, id in ipairs(due) do
  call('ZREM', ENDED, id)
  call('ZREM', GRACES, id)
  call('UNLINK', SESSION .. id)
end
return #due
"""

PURGE_LIVE: Final = """\
-- index, up to, before, now, offset, places to look at, hits at most, whether to delete; how many
-- places were looked at, and how many hits there were
local due = call('ZRANGE', P .. ARGV[1], '-inf', ARGV[2], 'BYSCORE', 'LIMIT', ARGV[5], ARGV[6])
local looked, hits, most = 0, 0, tonumber(ARGV[7])
for i, id in ipairs(due) do
  if hits == most then break end
  looked = i
  local key = SESSION .. id
  local s = call('HMGET', key, 'accessed', 'expiry', 'principal')
  local is_over = not s[2] or number(s[2]) <= number(ARGV[4])
  if is_over and number(s[1]) < number(ARGV[3]) then
    hits = hits + 1
    if ARGV[8] == '1' then
      remove_live(id, s[3])
      tell('k', id)
      call('UNLINK', key)
    end
  end
end
return {looked, hits}
"""

ENDED_BEFORE: Final = "return call('ZCOUNT', ENDED, '-inf', '(' .. ARGV[1])"

COUNT: Final = """\
local count = 0
for _, key in ipairs({EXPIRY, FOREVER, COPIES, ENDED}) do count = count + call('ZCARD', key) end
return count
"""

NOW: Final = "return call('TIME')"

PLACE: Final = """\
-- whether to say which process this is; the first and the last event that are kept
local first = call('XRANGE', CHANGES, '-', '+', 'COUNT', 1)[1]
local last = call('XREVRANGE', CHANGES, '+', '-', 'COUNT', 1)[1]
local information = ARGV[1] == '1' and call('INFO', 'server')
return {first and first[1] or '0-1', last and last[1] or '0-0', information}
"""

BEAT: Final = """\
-- process, beat, member
call('HSET', P .. 'workers', ARGV[1], ARGV[3])
call('ZADD', P .. 'beats', ARGV[2], ARGV[1])
return 1
"""

MEMBERS: Final = """\
-- since, limit
local found = {}
for i, process in ipairs(call('ZRANGE', P .. 'beats', ARGV[1], '+inf', 'BYSCORE', 'LIMIT', 0,
  ARGV[2])) do
  found[i] = call('HGET', P .. 'workers', process)
end
return found
"""

REMOVE: Final = """\
-- processes
for _, process in ipairs(ARGV) do
  call('HDEL', P .. 'workers', process)
  call('ZREM', P .. 'beats', process)
end
return #ARGV
"""

REMOVE_STALE: Final = """\
-- before
for _, process in ipairs(call('ZRANGE', P .. 'beats', '-inf', '(' .. ARGV[1], 'BYSCORE')) do
  call('HDEL', P .. 'workers', process)
  call('ZREM', P .. 'beats', process)
end
return 1
"""

# Commands of every kind that the others use, so that a right that is missing is found by the check
# and not in the middle of a write.
REHEARSE: Final = """\
local key = P .. 'rehearsal'
call('DEL', key)
call('HSET', key, 'a', '1')
call('HDEL', key, 'a')
call('ZADD', key, 0, 'a')
call('ZREM', key, 'a')
call('XADD', key, 'MAXLEN', '~', 1, '0-*', 'a', '1')
call('XRANGE', key, '-', '+')
call('XREVRANGE', key, '+', '-')
call('UNLINK', key)
call('HMGET', key, 'a')
call('HGETALL', key)
call('EXISTS', key)
call('ZRANGE', key, '-inf', '+inf', 'BYSCORE')
call('ZCOUNT', key, '-inf', '+inf')
call('ZCARD', key)
call('TIME')
call('INFO', 'server')
return 1
"""
