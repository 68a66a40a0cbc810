-- The command of batches with messages to users alone.

function commands.commit() return commit(append) end
