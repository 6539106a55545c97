-- dismiss: kind
-- Takes everyone who waits out of the queue.
purge()
pump()
return {'DISMISSED', dismiss_all(), pending('')}
