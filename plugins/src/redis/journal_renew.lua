-- Begins the epoch ARGV[2] of the journal with the state KEYS[2], unless ARGV[1] is over already.
if redis.call('HGET', KEYS[2], 'e') == ARGV[1] then
  redis.call('HSET', KEYS[2], 'e', ARGV[2])
end
return 1
