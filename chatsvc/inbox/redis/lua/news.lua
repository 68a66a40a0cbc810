-- News: what a call has stored, as it is published for other nodes when the call ends.

-- How many messages and events this call has stored.
local appended = 0

-- What to publish, by node: messages, and what more there is to say of each, in the same order. Nodes of before there were
-- serials take the first alone. `rooms`, if it is there, has entries of rooms' logs.
local for_nodes = {}

local function publish_later(log, message, mark)
  for _, node in ipairs(log.nodes) do
    local news = for_nodes[node] or {messages = {}, marks = {}}
    for_nodes[node] = news
    news.messages[#news.messages + 1], news.marks[#news.marks + 1] = message, mark
  end
end

-- Count a call that has stored something, and publish what it has stored. Returns the mark of the data.
local function publish_news()
  local run, batches = data_mark()
  if appended > 0 then
    batches = batches + 1
    pcall(set_data_mark, run, batches)
  end
  for node, news in pairs(for_nodes) do
    publish(node, {
      news = news.messages,
      marks = news.marks,
      rooms = news.rooms,
      run = run,
      batches = batches,
      epoch = redis.call('GET', 'chat:epoch'),
    })
  end
  return run, batches
end
