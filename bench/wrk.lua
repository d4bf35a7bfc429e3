-- Requests at random out of a file, and a look at every answer.
--
-- Arguments after `--`: the file, the seed, and the status that is right; 0 for a load of reads and
-- changes, in which 200 with a session and 204 without anything are.
-- A line of the file: method, path, headers with `|` between them, id, length of the right body,
-- body of the request; tabs between them. An id of `-` stands for an answer that has none.

local requests, lengths = {}, {}
local expected, any_length, wrong, first_wrong = 200, nil, 0, ""
local threads = {}

-- How much longer a session may be, of which changes make the version longer.
local GROWTH = 8

function setup(thread)
  table.insert(threads, thread)
end

local function headers_of(text)
  local headers = { Host = "localhost" }
  for name, value in text:gmatch("([^|:]+): ([^|]*)") do headers[name] = value end
  return headers
end

function init(args)
  math.randomseed(tonumber(args[2]))
  expected = tonumber(args[3])
  for line in io.lines(args[1]) do
    local method, path, headers, id, length, body =
      line:match("^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$")
    if body == "" then body = nil end
    table.insert(requests, wrk.format(method, path, headers_of(headers), body))
    if id == "-" then
      any_length = tonumber(length)
    else
      lengths[id] = lengths[id] or {}
      table.insert(lengths[id], tonumber(length))
    end
  end
end

function request()
  return requests[math.random(#requests)]
end

local function is_session(body)
  local growth = expected == 0 and GROWTH or 0
  for _, length in ipairs(lengths[body:sub(8, 39)] or {}) do
    if #body >= length and #body <= length + growth then return true end
  end
  return false
end

local function is_right(status, body)
  if expected == 0 then
    return (status == 204 and #body == 0) or (status == 200 and is_session(body))
  end
  if status ~= expected then return false end
  if any_length then return #body == any_length end
  return is_session(body)
end

function response(status, _, body)
  if not is_right(status, body) then
    wrong = wrong + 1
    if first_wrong == "" then first_wrong = status .. " " .. body:sub(1, 300) end
  end
end

function done(summary, latency, _)
  local refused, example = 0, ""
  for _, thread in ipairs(threads) do
    refused = refused + (thread:get("wrong") or 0)
    example = thread:get("first_wrong") or example
  end
  local errors = summary.errors
  print(string.format(
    "result\t%d\t%d\t%d\t%d\t%d\t%d\t%s",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout, refused,
    (example:gsub("[\r\n\t]", " "))
  ))
end
