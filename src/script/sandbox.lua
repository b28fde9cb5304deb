-- What surrounds scripts: read-only tables, globals that can't be added, functions that are bounded. Run once per state.
-- `natives`: functions of the server's. Returns what the server calls.
local natives, libraries, loading_redis = ...
local error, tostring, type, rawget, next, xpcall, pcall, setmetatable =
  error, tostring, type, rawget, next, xpcall, pcall, setmetatable
local READONLY = 'Attempt to modify a readonly table'

local contents = setmetatable({}, {__mode = 'k'}) -- of each read-only table
local function refuse() error(READONLY, 2) end
local function guard(table, shown)
  local meta = {__index = table, __newindex = refuse, __metatable = shown or false, __guarded = true}
  local front = setmetatable({}, meta)
  contents[front] = table
  return front, meta
end
local function missing(_, name)
  error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end

local globals = {_VERSION = _VERSION}
for _, name in next, {'assert', 'error', 'gcinfo', 'getmetatable', 'ipairs', 'rawequal', 'select', 'tonumber', 'tostring',
  'type', 'xpcall'} do
  globals[name] = _G[name]
end
for name, f in next, natives do globals[name] = f end

-- An error that is a reply is caught as its text.
local function caught(ok, err, ...)
  if not ok and type(err) == 'table' then
    local text = rawget(err, 'err')
    if type(text) == 'string' then return false, text end
  end
  return ok, err, ...
end
function globals.pcall(...) return caught(pcall(...)) end
function globals.rawget(t, key) return rawget(contents[t] or t, key) end
local function guarded_next(t, key) return next(contents[t] or t, key) end
globals.next = guarded_next
function globals.pairs(t)
  if contents[t] then return guarded_next, t, nil end
  if type(t) ~= 'table' then
    error("bad argument #1 to 'pairs' (table expected, got " .. (t == nil and 'nil' or type(t)) .. ')', 2)
  end
  return next, t, nil
end
local collect = collectgarbage
function globals.collectgarbage(what, arg)
  -- Only what can't stop or slow down the collection of others.
  if what == nil or what == 'collect' or what == 'count' or what == 'step' then return collect(what or 'collect', arg) end
  return 0
end

for name, library in next, libraries do globals[name] = guard(library) end
natives.string_metatable(guard({__index = globals.string}), globals.string)
globals.string_metatable = nil

local front, meta = guard(globals, (guard({__index = globals})))
globals._G = front
setmetatable(globals, {__index = missing})

-- While a library is loaded there is nothing but functions to be registered.
local at_load = setmetatable({redis = guard(setmetatable(loading_redis, {__index = missing}))}, {__index = missing})

local where = natives.where
globals.where = nil
local function handler(err)
  local source, line = where()
  if type(err) ~= 'table' or contents[err] then err = {err = 'ERR ' .. tostring(err)} end
  err.source, err.line = source, line
  return err
end

local function load(body)
  meta.__index = at_load
  local ok, err = xpcall(body, handler)
  meta.__index = globals
  return ok, err
end
return front, globals, handler, load
