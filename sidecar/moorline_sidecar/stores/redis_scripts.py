"""What the server itself carries out: a Lua script for each verb of the port, one atomic step each.

A script begins with `#!lua` and never says `no-writes`, those that only read neither: so a replica,
and a primary that `min-replicas-to-write` has stopped, refuse it before it has begun. `allow-oom`
lets a full server end, touch, read and purge. Whatever can fail stands before the first line that
changes the session itself.

Keys, each behind the prefix: `session:<key>`, a hash; every live session is in one of the sorted
sets `expiry` (by its expiry), `forever` (by its access, where there is no expiry) and `copies` (by
its last save), and in `principals` if it has one; a tombstone in `ended`, and in `graces` while
there is something to drop. `changes` is the stream that `redis_stream` follows.
"""

from __future__ import annotations

import hashlib
from typing import Final

from msgspec import Struct

from moorline_sidecar.stores import redis_lua_queries as queries
from moorline_sidecar.stores import redis_lua_writes as writes

CHANGES_KEPT: Final = 100_000
"""Events in the stream, about 70 bytes each: what a worker that was cut off may go on from."""

INDEXES: Final = ("expiry", "forever", "copies", "principals", "ended", "graces")
"""The keys of the sorted sets."""

_PRELUDE: Final = """\
local P = '%s'
local SESSION, CHANGES = P .. 'session:', P .. 'changes'
local EXPIRY, FOREVER, COPIES = P .. 'expiry', P .. 'forever', P .. 'copies'
local PRINCIPALS, ENDED, GRACES = P .. 'principals', P .. 'ended', P .. 'graces'
local call = redis.call
local APPLIED, CONFLICT, OVER, ABSENT = 1, 2, 3, 4

local function id_of(key)
  return string.sub(key, #SESSION + 1)
end

-- What a person wrote may be none, and must not keep a script from going on to the next session.
local function number(text)
  return tonumber(text or 0) or 0
end

-- The length first: no principal is the beginning of another one.
local function member_of(principal, id)
  return #principal .. ':' .. principal .. ':' .. id
end

local function add_principal(principal, id)
  if principal and principal ~= '' then call('ZADD', PRINCIPALS, 0, member_of(principal, id)) end
end

local function remove_principal(principal, id)
  if principal then call('ZREM', PRINCIPALS, member_of(principal, id)) end
end

-- A live session that is no copy; an empty expiry is none.
local function place(id, expiry, accessed)
  call('ZREM', COPIES, id)
  if expiry and expiry ~= '' then
    call('ZREM', FOREVER, id)
    call('ZADD', EXPIRY, expiry, id)
  else
    call('ZREM', EXPIRY, id)
    call('ZADD', FOREVER, accessed, id)
  end
end

local function remove_live(id, principal)
  call('ZREM', EXPIRY, id)
  call('ZREM', FOREVER, id)
  call('ZREM', COPIES, id)
  remove_principal(principal, id)
end

-- The numbers 0-1, 0-2, … have no gaps, so that who follows sees what was trimmed.
local function tell(...)
  local time = call('TIME')
  local now = time[1] .. string.format('%%03d', math.floor(time[2] / 1000))
  call('XADD', CHANGES, 'MAXLEN', '~', %d, '0-*', 't', now, ...)
end

-- Lua hands over no more than some thousand arguments at once.
local function each_thousand(command, key, first, last)
  for i = first, last, 1000 do
    call(command, key, unpack(ARGV, i, math.min(i + 999, last)))
  end
end

local function put(key, field, value)
  if value and value ~= '' then call('HSET', key, field, value) else call('HDEL', key, field) end
end

local function later(one, two)
  if not one or one == '' then return two end
  if not two or two == '' then return one end
  return number(one) > number(two) and one or two
end

-- Nothing where the write is to be applied.
local function judged(valid, holds, write_id, own)
  if not valid then return ABSENT end
  if valid == '1' and holds then return nil end
  if own ~= '' and write_id == own then return APPLIED end
  return valid == '1' and CONFLICT or OVER
end
"""


class Script(Struct, frozen=True):
    """A Lua script and the hash by which the server knows it."""

    text: str
    sha: str


class Scripts(Struct, frozen=True, kw_only=True):
    """All of them, for the keys behind one prefix."""

    insert: Script
    change: Script
    end: Script
    touch: Script
    settle: Script
    discard: Script
    load: Script
    confirm: Script
    expired: Script
    copies: Script
    by_principal: Script
    drop_grace: Script
    purge_ended: Script
    purge_live: Script
    ended_before: Script
    count: Script
    now: Script
    place: Script
    beat: Script
    members: Script
    remove: Script
    remove_stale: Script
    rehearse: Script


def scripts_of(prefix: str) -> Scripts:
    """`prefix` is of letters, digits and `._:-`, as the type of the SessionCluster has it."""
    prelude = _PRELUDE % (prefix, CHANGES_KEPT)

    def script(body: str, *, needs_memory: bool = False) -> Script:
        text = f"#!lua{'' if needs_memory else ' flags=allow-oom'}\n{prelude}\n{body}"
        return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())

    return Scripts(
        insert=script(writes.INSERT, needs_memory=True),
        change=script(writes.CHANGE, needs_memory=True),
        end=script(writes.END),
        touch=script(writes.TOUCH),
        settle=script(writes.SETTLE),
        discard=script(writes.DISCARD),
        load=script(queries.LOAD),
        confirm=script(queries.CONFIRM),
        expired=script(queries.EXPIRED),
        copies=script(queries.COPIES),
        by_principal=script(queries.BY_PRINCIPAL),
        drop_grace=script(queries.DROP_GRACE),
        purge_ended=script(queries.PURGE_ENDED),
        purge_live=script(queries.PURGE_LIVE),
        ended_before=script(queries.ENDED_BEFORE),
        count=script(queries.COUNT),
        now=script(queries.NOW),
        place=script(queries.PLACE),
        beat=script(queries.BEAT),
        members=script(queries.MEMBERS),
        remove=script(queries.REMOVE),
        remove_stale=script(queries.REMOVE_STALE),
        rehearse=script(queries.REHEARSE),
    )
