-- How a node finds out that this is not the data that it knows.

-- The life of this data: which process of Redis holds it (its run_id), and how many batches with messages it has taken.
local function life()
  local run, batches = string.match(redis.call('GET', 'chat:life') or '- 0', '^(%S+) (%d+)$')
  return run, tonumber(batches)
end

local function set_life(run, batches) redis.call('SET', 'chat:life', run .. ' ' .. number(batches)) end

-- How many batches an earlier process had taken when its life ended; nil: this data knows of none such.
local function taken_by(run)
  return tonumber(string.match(redis.call('GET', 'chat:lives') or '', ' ' .. run .. ':(%d+)'))
end

-- The most lives that are remembered.
local LIVES = 64

-- If this process of Redis is not the one before, it holds the data from now on. It must say so itself: a node may have
-- asked when it still talked to the one before.
local function begin_life()
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or '-'
  local before, batches = life()
  if before == run then return end
  if before ~= '-' then
    local lives = {before .. ':' .. number(batches)}
    for other in string.gmatch(redis.call('GET', 'chat:lives') or '', '%S+') do
      if #lives < LIVES then lives[#lives + 1] = other end
    end
    redis.call('SET', 'chat:lives', ' ' .. table.concat(lives, ' '))
  end
  set_life(run, batches)
end

-- Whether this data lacks batches of which this node knows that they were stored.
local function has_lost_writes()
  if not asked.known then return false end
  local known_run, known_batches = unpack(asked.known)
  local run, batches = life()
  if run ~= known_run then batches = taken_by(known_run) or -1 end
  return batches < known_batches
end

-- The most epochs that are remembered.
local EPOCHS = 64

-- A new epoch follows on those before: that of this data, and the one that a node knows.
local function begin_epoch(known)
  local before, found = {}, {}
  local current = redis.call('GET', 'chat:epoch') or ''
  local all = current .. ' ' .. (known or '') .. ' ' .. (redis.call('GET', 'chat:epochs') or '')
  for epoch in string.gmatch(all, '%x+') do
    if not found[epoch] and #before < EPOCHS then
      found[epoch] = true
      before[#before + 1] = epoch
    end
  end
  -- This first: one that is full may refuse the second, and the next one who asks then does both again.
  redis.call('SET', 'chat:epochs', ' ' .. table.concat(before, ' ') .. ' ')
  redis.call('SET', 'chat:epoch', asked.fresh)
end

-- Whether an epoch is one before the present one. An epoch that this data does not know is one after which an older copy
-- was put back.
local function has_passed(epoch)
  return string.find(redis.call('GET', 'chat:epochs') or '', ' ' .. epoch .. ' ', 1, true) ~= nil
end

-- Whether this is not the data that this node knows: it was deleted, or older data was put in its place, or it went back
-- and on from there. The generations and ids that this node knows are nothing to it then. Who notices it first begins a
-- new epoch, by which all others notice.
local went_back = false
local function is_another_store()
  if not asked.epoch then return false end
  if asked.epoch ~= redis.call('GET', 'chat:epoch') then
    if has_passed(asked.epoch) then return true end
  elseif not has_lost_writes() then
    return false
  end
  -- One that is full says no: then the next one who asks notices again.
  pcall(begin_epoch, asked.epoch)
  went_back = true
  return true
end

local lost = is_another_store()
