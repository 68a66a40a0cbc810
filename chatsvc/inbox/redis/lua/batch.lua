-- A batch: removals, then messages.

-- An inbox while a batch is stored in it.
local books = {}

local function open_book(book)
  book.last, book.waiting, book.acknowledged = ends(book.inbox)
  return book
end

local function book_of(uid)
  local book = books[uid]
  if not book then
    adopt(uid)
    book = open_book({inbox = inbox_of(uid), senders = senders_of(uid)})
    book.node, book.generation = session(uid)
    book.elsewhere = is_elsewhere(book.node)
    books[uid] = book
  end
  return book
end

-- What other nodes are to be told, when the batch is stored.
local news = {}

-- Where the senders of this batch are logged in.
local senders = {}

-- Whether a sender has logged in at another node since the session of this generation.
local function has_moved(sender, generation)
  local place = senders[sender]
  if not place then
    place = {session(sender)}
    senders[sender] = place
  end
  return is_taken(place[1], place[2], generation)
end

-- The generations of the devices that send in this batch.
local sending = {}

-- Whether a device has logged in again since the session that took this generation.
local function is_superseded(sender, device, generation)
  local key = sender .. ' ' .. device
  if not sending[key] then
    local newest, devices = generations(sender)
    local current, others = find_generation(devices, device)
    sending[key] = current or 0
    if sending[key] < generation then -- the store has lost that log-in
      set_generation(sender, math.max(newest, generation), device, generation, others)
      sending[key] = generation
    end
  end
  return generation < sending[key]
end

-- How many messages this batch has stored.
local appended = 0

-- draft: to, sender, name, at, text and perhaps device, n, again (strings, '' where there is none), generation, sending
local function append(draft)
  local to, sender, name, at, text, device, n, again, generation, sent_by = unpack(draft)
  if generation and generation > 0 and has_moved(sender, generation) then return {'moved'} end
  if sent_by and sent_by > 0 and is_superseded(sender, device, sent_by) then return {'moved'} end
  local book = book_of(to)
  local share, since, numbers, notes = sender_of(book.senders, sender)
  if n and n ~= '' then
    local newest, id, others = find_number(numbers, device)
    local _, digests, other_notes = find_note(notes, device, newest)
    local back = newest - tonumber(n)
    if back >= 0 and is_the_same(digests, back, text) then
      return {'duplicate', back == 0 and id or 0, book.waiting, book.elsewhere}
    end
    -- Also another text under a number that was accepted: it was never stored.
    if back ~= -1 or again ~= '' then return {'gap', number(newest + 1)} end
    if newest == 0 then others, other_notes = remembered(others, other_notes) end
    digests = string.sub(digests .. digest(text), -asked.digests * asked.digits)
    numbers = ' ' .. device .. ' ' .. n .. ' ' .. number(book.last + 1) .. others
    notes = ',' .. device .. ':' .. seconds() .. ':' .. n .. ':' .. digests .. other_notes
  end
  if book.waiting >= asked.waiting then
    expire(book.inbox)
    open_book(book)
    if book.waiting >= asked.waiting then return {'full', book.waiting, false} end
  end
  local acknowledged = book.acknowledged
  if since ~= acknowledged then share = 0 end
  if share >= asked.share then return {'full', book.waiting, true} end
  add(book.inbox, book.last + 1, sender, name, at, text)
  appended = appended + 1
  book.last, book.waiting = book.last + 1, book.waiting + 1
  set_sender(book.senders, sender, share + 1, acknowledged, numbers, notes)
  if not book.renewed then book.renewed = redis.call('EXPIRE', book.senders, asked.memory) end
  if not book.elsewhere then return {'stored', book.last, book.waiting} end
  local told = news[book.node] or {}
  news[book.node] = told
  told[#told + 1] = {to, number(book.last), sender, name, at, text}
  return {'stored', book.last, book.waiting, true}
end

local function remove(uid, generation, up_to, leaving)
  local book = book_of(uid)
  if is_taken(book.node, book.generation, generation) then return 'taken' end
  if book.generation ~= generation then return 'refused' end
  -- An id that was not given out yet is one of a store that has since lost it.
  local known = up_to <= book.last
  -- Before anything that a Redis which is full refuses.
  if known then
    book.waiting = book.waiting - trim(book.inbox, up_to)
    book.acknowledged = math.max(book.acknowledged, up_to)
  end
  if leaving then
    claim_for(uid, '-', generation)
    book.node, book.elsewhere = '-', false
  end
  return known and 'removed' or 'refused'
end

-- Why one message was not taken. A Redis that takes none at all is no primary any more, which is said as such.
local function reason(problem)
  local words = type(problem) == 'table' and problem.err or tostring(problem)
  if string.find(words, 'READONLY', 1, true) then error(problem, 0) end
  return words
end

-- Batches of a node are carried out in the order in which it sent them: one that overtook the one before, because the
-- script was flushed in between, is sent again.
local function is_out_of_order()
  local key = 'chat:order:' .. asked.node
  if asked.previous and redis.call('GET', key) ~= number(asked.previous) then return true end
  redis.pcall('SET', key, number(asked.order), 'PX', 60000)
  return false
end

function entrances.commit()
  if is_out_of_order() then return {'again'} end
  local outcomes, done = {}, {}
  -- First, or what is appended now could pass for what a session was handed before the store lost it.
  for i, removal in ipairs(asked.removals) do
    local well, verdict = true, 'lost'
    if not lost then well, verdict = pcall(remove, unpack(removal)) end
    done[i] = well and verdict or 'failed'
  end
  for i, draft in ipairs(asked.drafts) do
    -- One that fails leaves the others alone.
    local well, outcome = pcall(append, draft)
    outcomes[i] = well and outcome or {'failed', reason(outcome)}
  end
  local run, batches = life()
  if appended > 0 then
    batches = batches + 1
    pcall(set_life, run, batches)
  end
  for node, told in pairs(news) do tell(node, {news = told, run = run, batches = batches, epoch = redis.call('GET', 'chat:epoch')}) end
  return {outcomes, done, lost and true or false, run, batches, expired}
end
