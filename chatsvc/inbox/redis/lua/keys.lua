-- The inbox in Redis: one script, whose parts stand in the files of this folder (script.py puts them together). It has
-- several entrances, chosen by ARGV[1]; every answer is one JSON text, because one long string costs the asking process
-- less than many short ones. Numbers travel as strings where Lua's doubles or its %.14g would round them.

-- Keys and fields: docs/architecture.md.

local entrance, asked = ARGV[1], cjson.decode(ARGV[2])

local function number(value) return string.format('%.0f', value) end
-- Redis's own time, in ms.
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
local function generations_of(uid) return 'chat:{' .. uid .. '}:generations' end
-- The key of a node's lease, and the channel on which it is told of its users.
local function lease_of(node) return 'chat:node:' .. node end
local function old_list_of(uid) return 'list_usermessages_of_userid:userid:' .. uid end

local entrances = {}
