-- Commands for a node among others: its lease, who is there, and who is logged in elsewhere.

-- Take or renew a node's lease, with what the node publishes about itself. Returns whether it had one, what time it is,
-- which epoch, by which process of Redis how many batches were taken, and whether that is less than the node knew.
function commands.join()
  begin_run()
  local had = redis.call('SET', lease_of(args.node), args.about, 'PX', args.lease, 'GET')
  redis.call('SET', 'chat:epoch', args.fresh, 'NX')
  local run, batches = data_mark()
  local answer = {had and true or false, now(), redis.call('GET', 'chat:epoch'), run, batches, went_back}
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

-- Which of these users are logged in at other nodes.
function commands.elsewhere()
  local found = {}
  for _, uid in ipairs(args.uids) do
    if is_elsewhere((session(uid))) then found[#found + 1] = uid end
  end
  return found
end
