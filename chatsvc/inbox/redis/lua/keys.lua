-- The inbox in Redis: scripts, whose parts stand in the files of this folder (script.py puts them together). ARGV[1] is
-- the command to carry out and ARGV[2] its arguments, one JSON object. Every answer is one JSON text, because one long
-- string costs the calling process less than many short ones. Numbers travel as strings where Lua's doubles or its %.14g
-- would round them.

-- Keys and fields: docs/architecture.md.

local command, args = ARGV[1], cjson.decode(ARGV[2])

-- A whole number as text, with all its digits.
local function number(value) return string.format('%.0f', value) end

-- Redis's own time, in ms; the same throughout one call.
local time
local function now()
  if not time then
    local seconds, micros = unpack(redis.call('TIME'))
    time = tonumber(seconds) * 1000 + math.floor(tonumber(micros) / 1000)
  end
  return time
end

local function inbox_of(uid) return 'chat:{' .. uid .. '}:inbox' end
local function senders_of(uid) return 'chat:{' .. uid .. '}:from' end
local function session_of(uid) return 'chat:{' .. uid .. '}:session' end
local function epoch_of(uid) return 'chat:{' .. uid .. '}:epoch' end
local function devices_of(uid) return 'chat:{' .. uid .. '}:devices' end
local function generations_of(uid) return 'chat:{' .. uid .. '}:generations' end
-- The key of a node's lease, and the channel that the node subscribes to.
local function lease_of(node) return 'chat:node:' .. node end
local function old_list_of(uid) return 'list_usermessages_of_userid:userid:' .. uid end

-- The commands by name; each returns a table, which becomes the answer.
local commands = {}
