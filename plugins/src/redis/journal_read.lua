-- Reads the journal KEYS[1] with the state KEYS[2]. ARGV: a name for an epoch, if there is none; the number after which to read, or
-- nothing for the newest; how many at most; how many bytes at most, unless the first has more; the epoch of that number. Answers the epoch, the last number,
-- that of the oldest entry if there is any, and the entries, each as number, epoch, time and record.
local stream, state = KEYS[1], KEYS[2]
local known = redis.call('HMGET', state, 'e', 'n', 'b')
if not (known[1] and known[2] and known[3]) then
  redis.call('HSETNX', state, 'e', ARGV[1])
  redis.call('HSETNX', state, 'n', '0')
  redis.call('HSETNX', state, 'b', '0')
  known = redis.call('HMGET', state, 'e', 'n')
end
local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
local after, found = ARGV[2], nil
if after ~= '' and ARGV[5] ~= known[1] then
  -- Of an epoch that is over: what follows that very entry, if it is there, else from the oldest on.
  local same = redis.call('XRANGE', stream, after .. '-0', after .. '-0')[1]
  if not same or same[2][2] ~= ARGV[5] then
    after = '0'
  end
end
if after == '' then
  found = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', ARGV[3])
  for at = 1, math.floor(#found / 2) do
    found[at], found[#found + 1 - at] = found[#found + 1 - at], found[at]
  end
else
  found = redis.call('XRANGE', stream, '(' .. after .. '-0', '+', 'COUNT', ARGV[3])
end
local entries, bytes = {}, 0
for _, entry in ipairs(found) do
  local fields = entry[2]
  bytes = bytes + #fields[6]
  if #entries > 0 and bytes > tonumber(ARGV[4]) then
    break
  end
  entries[#entries + 1] = {string.match(entry[1], '^%d+'), fields[2], fields[4], fields[6]}
end
return {known[1], known[2], oldest and string.match(oldest[1], '^%d+') or '', entries}
