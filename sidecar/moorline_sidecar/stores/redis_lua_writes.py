"""The Lua of the verbs that change one session; `redis_scripts` tells what they share."""

from __future__ import annotations

from typing import Final

INSERT: Final = """\
-- expiry, accessed, last saved, renew of, principal, fields and values
local id = id_of(KEYS[1])
if call('EXISTS', KEYS[1]) == 1 then return 0 end
if ARGV[4] ~= '' then call('ZADD', COPIES, ARGV[3], id) else place(id, ARGV[1], ARGV[2]) end
add_principal(ARGV[5], id)
each_thousand('HSET', KEYS[1], 6, #ARGV)
return 1
"""

CHANGE: Final = """\
-- version before, write id, version, accessed, last accessed, expiry, maximum ('': as it is),
-- node, last saved, whether the principal changes, principal, write id before ('': any), number of
-- fields to remove, these, fields and values
local id = id_of(KEYS[1])
local s = call('HMGET', KEYS[1], 'valid', 'version', 'writeId', 'expiry', 'accessed', 'principal')
local holds = s[2] == ARGV[1] and (ARGV[12] == '' or ARGV[12] == s[3])
local outcome = judged(s[1], holds, s[3], ARGV[2])
if outcome then return outcome end
local accessed, expiry = later(s[5], ARGV[4]), ARGV[6]
-- A touch may have come in between: it writes times, and leaves the version as it is.
if ARGV[7] == '' then expiry = later(s[4], expiry) end
place(id, expiry, accessed)
if ARGV[10] == '1' then
  remove_principal(s[6], id)
  add_principal(ARGV[11], id)
end
tell('k', id, 'v', ARGV[3])
call('HSET', KEYS[1], 'version', ARGV[3], 'writeId', ARGV[2], 'accessed', accessed,
  'lastAccessed', ARGV[5], 'lastNode', ARGV[8], 'lastSaved', ARGV[9])
if ARGV[7] ~= '' then call('HSET', KEYS[1], 'maxIdle', ARGV[7]) end
put(KEYS[1], 'expiry', expiry)
call('HDEL', KEYS[1], 'renewOf')
local removed = tonumber(ARGV[13])
each_thousand('HDEL', KEYS[1], 14, 13 + removed)
each_thousand('HSET', KEYS[1], 14 + removed, #ARGV)
return APPLIED
"""

END: Final = """\
-- write id, now, reason, version ('': any), whether the access is guarded, accessed, expiry, node,
-- renewed to, grace until, write id before ('': any)
local id = id_of(KEYS[1])
local s = call('HMGET', KEYS[1], 'valid', 'version', 'writeId', 'accessed', 'expiry', 'lastNode',
  'created', 'principal')
local holds = (ARGV[4] == '' or ARGV[4] == s[2]) and (ARGV[11] == '' or ARGV[11] == s[3])
if ARGV[5] == '1' then
  holds = holds and s[4] == ARGV[6] and (s[5] or '') == ARGV[7] and (s[6] or '') == ARGV[8]
end
local outcome = judged(s[1], holds, s[3], ARGV[1])
if outcome then return outcome end
local version = string.format('%.0f', number(s[2]) + 1)
remove_live(id, s[8])
call('ZADD', ENDED, ARGV[2], id)
if ARGV[10] ~= '' then call('ZADD', GRACES, ARGV[10], id) end
tell('k', id, 'v', version, 'r', ARGV[3])
if ARGV[10] == '' then call('DEL', KEYS[1]) else call('HDEL', KEYS[1], 'renewOf') end
call('HSET', KEYS[1], 'valid', '0', 'version', version, 'writeId', ARGV[1],
  'created', s[7] or s[4] or '0', 'accessed', s[4] or '0',
  'invalidated', ARGV[2], 'reason', ARGV[3])
put(KEYS[1], 'renewedTo', ARGV[9])
put(KEYS[1], 'graceUntil', ARGV[10])
return APPLIED
"""

TOUCH: Final = """\
-- accessed, last accessed, expiry, maximum, node, now
local s = call('HMGET', KEYS[1], 'valid', 'accessed', 'maxIdle')
if s[1] ~= '1' or number(s[2]) > number(ARGV[1]) or s[3] ~= ARGV[4] then return 0 end
place(id_of(KEYS[1]), ARGV[3], ARGV[1])
call('HSET', KEYS[1], 'accessed', ARGV[1], 'lastAccessed', ARGV[2], 'lastNode', ARGV[5],
  'lastSaved', ARGV[6])
put(KEYS[1], 'expiry', ARGV[3])
call('HDEL', KEYS[1], 'renewOf')
return 1
"""

SETTLE: Final = """\
-- origin
local s = call('HMGET', KEYS[1], 'valid', 'renewOf', 'expiry', 'accessed')
if s[1] ~= '1' or s[2] ~= ARGV[1] then return 0 end
place(id_of(KEYS[1]), s[3], s[4])
return call('HDEL', KEYS[1], 'renewOf')
"""

DISCARD: Final = """\
-- origin, version
local id = id_of(KEYS[1])
local s = call('HMGET', KEYS[1], 'valid', 'renewOf', 'version', 'principal')
if s[1] ~= '1' or s[2] ~= ARGV[1] or s[3] ~= ARGV[2] then return 0 end
remove_live(id, s[4])
tell('k', id)
return call('DEL', KEYS[1])
"""
