-- The command is carried out, and its change to the number of all waiting messages written down.

local answer = commands[command]()
if change ~= 0 then redis.pcall('INCRBY', 'chat:waiting', number(change)) end
return #answer == 0 and '[]' or cjson.encode(answer)
