-- Takes or renews the lease KEYS[1] for the owner ARGV[1] for ARGV[2] milliseconds: 1 when it is the owner's now.
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
