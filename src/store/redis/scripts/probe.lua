-- probe: kind id...
-- Wakes some who wait, to see whether they do: settle takes out whose list is still there afterwards.
for n = 2, #ARGV do
  if call('ZSCORE', Q, ARGV[n]) then wake(ARGV[n]) end
end
return {'PROBED'}
