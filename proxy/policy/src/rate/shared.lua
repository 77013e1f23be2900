-- One decision over all rate limits of a request. KEYS: one for each limit. ARGV: for each limit its interval and its tolerance, in microseconds.
-- At a key is the theoretical arrival time in microseconds since 2026; a key that is gone means that it lies in the past.
-- Returns 1 if a limit refuses, else 0; then for each limit how far the theoretical arrival time lies ahead, in nanoseconds.
local time = redis.call('TIME')
local now = (time[1] - 1767225600) * 1000000 + time[2]
local refused = 0
local due = {}
for i = 1, #KEYS do
  local interval, tolerance = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local known = tonumber(redis.call('GET', KEYS[i]) or 0) or 0
  -- Never further ahead than one that was just charged for the last time: a clock that was set back would else refuse for as long.
  due[i] = math.min(math.max(known, now), now + tolerance + interval)
  if due[i] - now > tolerance then
    refused = 1
  end
end
local answer = { refused }
for i = 1, #KEYS do
  if refused == 0 then
    due[i] = due[i] + tonumber(ARGV[2 * i - 1])
    redis.call('SET', KEYS[i], string.format('%.3f', due[i]), 'PX', math.ceil((due[i] - now) / 1000))
  end
  answer[i + 1] = math.ceil((due[i] - now) * 1000)
end
return answer
