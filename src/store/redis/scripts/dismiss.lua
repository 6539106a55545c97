-- dismiss: kind
-- Takes everyone who waits out of the queue.
-- Writes nothing, but lets the rest go on when the server is out of memory, as in keep.
call('DEL', base .. 'g:')
purge()
pump()
return {'DISMISSED', dismiss_all(), pending('')}
