-- Appends records to the journal KEYS[1], a stream, whose epoch, last number and bytes are in the hash KEYS[2], and publishes each on
-- the channel KEYS[1] with its place. ARGV: a name for a new epoch; the epoch and the number that somebody knows of; publishes,
-- milliseconds and bytes that are kept; the command that publishes; the records. Answers the epoch, the number of the last one that was appended, the time, how
-- many were, and why no more.
local stream, state = KEYS[1], KEYS[2]
local known = redis.call('HMGET', state, 'e', 'n', 'b')
local epoch, last, held = known[1], tonumber(known[2]), tonumber(known[3])
if not (epoch and last and held) then
  -- What Redis refuses here it refuses of the records too, and that is answered.
  redis.pcall('DEL', stream)
  epoch, last, held = ARGV[1], 0, 0
elseif epoch == ARGV[2] and last < tonumber(ARGV[3]) then
  -- A replica that has taken over has not got as far.
  epoch = ARGV[1]
end
if redis.call('EXISTS', stream) == 0 then
  -- Nobody has appended for as long as anything is kept.
  held = 0
end
local events, age, bytes = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local at = string.format('%.0f', now)
local appended, why = 0, ''
for index = 8, #ARGV do
  local record, number = ARGV[index], string.format('%.0f', last + 1)
  local added = redis.pcall('XADD', stream, number .. '-0', 'e', epoch, 't', at, 'r', record)
  if type(added) == 'table' and added.err then
    why = added.err
    break
  end
  redis.call(ARGV[7], stream, epoch .. '-' .. number .. ' ' .. at .. '\n' .. record)
  last, held, appended = last + 1, held + #record, appended + 1
end
if appended == 0 and why ~= '' then
  return {epoch, string.format('%.0f', last), at, 0, why}
end
local kept = redis.call('XLEN', stream)
while kept > 0 do
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  local fields = first[2]
  local fits = kept <= events and (held <= bytes or kept == 1)
  if fits and now - tonumber(fields[4]) < age then
    break
  end
  redis.call('XDEL', stream, first[1])
  kept, held = kept - 1, held - #fields[6]
end
redis.call('HSET', state, 'e', epoch, 'n', string.format('%.0f', last), 'b', string.format('%.0f', held))
-- What nobody appends to for so long holds nothing any more.
redis.call('PEXPIRE', stream, age)
return {epoch, string.format('%.0f', last), at, appended, why}
