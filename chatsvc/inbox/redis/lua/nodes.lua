-- Commands for a node among others: its lease, who is there, and who is logged in elsewhere.

-- Take or renew a node's lease, with what the node publishes about itself. Returns whether it had one, what time it is,
-- which epoch, by which process of Redis how many batches were taken, whether that is less than the node knew, and the last
-- serial ('0': this data has none yet, it is of before there were serials).
function commands.join()
  local seen = tonumber(args.seen)
  local was_elsewhere = begin_run()
  local is_new = last_serial() == 0
  if not is_new or seen > 0 then go_on_above(seen, was_elsewhere or went_back or is_new) end
  local had = redis.call('SET', lease_of(args.node), args.about, 'PX', args.lease, 'GET')
  redis.call('SET', 'chat:epoch', args.fresh, 'NX')
  local run, batches = data_mark()
  local answer = {had and true or false, now(), redis.call('GET', 'chat:epoch'), run, batches, went_back, number(last_serial())}
  if had then return answer end
  for _, node in ipairs(redis.call('SMEMBERS', 'chat:nodes')) do
    if redis.call('EXISTS', lease_of(node)) == 0 then redis.call('SREM', 'chat:nodes', node) end
  end
  redis.call('SADD', 'chat:nodes', args.node)
  return answer
end

function commands.leave()
  redis.call('DEL', lease_of(args.node))
  redis.call('SREM', 'chat:nodes', args.node)
  return {}
end

-- What the living nodes publish about themselves.
function commands.nodes()
  local found = {}
  for _, node in ipairs(redis.call('SMEMBERS', 'chat:nodes')) do
    local about = redis.call('GET', lease_of(node))
    if about then found[#found + 1] = {node, about} end
  end
  return found
end

-- Publish notices for registered devices, at the other nodes at which their users are; each begins with a uid.
function commands.notify()
  local for_nodes = {}
  for _, notice in ipairs(args.notices) do
    for _, node in ipairs(nodes_of(look_at(notice[1]))) do
      for_nodes[node] = for_nodes[node] or {}
      table.insert(for_nodes[node], notice)
    end
  end
  for node, notices in pairs(for_nodes) do publish(node, {notices = notices}) end
  return {}
end

-- Which of these users are logged in at other nodes.
function commands.elsewhere()
  local found = {}
  for _, uid in ipairs(args.uids) do
    if #nodes_of(look_at(uid)) > 0 then found[#found + 1] = uid end
  end
  return found
end
