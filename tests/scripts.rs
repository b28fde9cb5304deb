//! Scripts and functions against the real binary: replies, errors and libraries as the reference server gives them, others
//! served while one runs for long, and ways out of the sandbox, tried.

mod support;

use std::time::Duration;
use support::client::{Client, encode};
use support::transcript::follow;
use support::{Process, our_binary, start, wait_until};

const TRANSCRIPT: &str = include_str!("transcripts/scripts.txt");

#[test]
fn scripts_and_functions_reply_as_the_reference_does() {
    for proto in [2, 3] {
        let server = Process::start(&our_binary(), &[]);
        follow(&mut server.client(), proto, TRANSCRIPT);
    }
}

/// Sends a request without waiting for its reply.
fn send(client: &mut Client, words: &[&str]) {
    let mut out = Vec::new();
    encode(words, &mut out);
    client.send_raw(&out).expect("the server reads");
}

/// Runs a script; its reply or error.
fn eval(server: &Process, script: &str) -> String {
    server.client().call(&["EVAL", script, "0"]).expect("the server answers").render()
}

#[test]
fn a_script_that_runs_for_long_lets_others_be_told_and_be_ended() {
    let server = start(&["--busy-reply-threshold", "10"]);
    let (mut runner, mut other) = (server.client(), server.client());
    for script in [
        "while true do end",
        "local f = function() while 1 do redis.call('ping') end end while 1 do pcall(f) end",
        "while 1 do coroutine.wrap(function() while 1 do end end)() end",
    ] {
        send(&mut runner, &["EVAL", script, "0"]);
        wait_until("others are told", || other.say("GET k").starts_with("-BUSY"));
        assert!(server.client().say("PING").starts_with("-BUSY"), "a client that came meanwhile");
        assert!(other.say("FUNCTION KILL").starts_with("-BUSY"));
        assert_eq!(other.say("SCRIPT KILL"), "+OK");
        assert!(runner.hear().contains("Script killed by user with SCRIPT KILL"));
        assert_eq!(other.say("PING"), "+PONG");
    }
    assert!(other.say("SCRIPT KILL").starts_with("-NOTBUSY"));
}

#[test]
fn a_script_that_has_written_can_only_be_ended_with_the_server() {
    let mut server = start(&["--busy-reply-threshold", "10"]);
    let (mut runner, mut other) = (server.client(), server.client());
    send(&mut runner, &["EVAL", "redis.call('SET', 'k', 'v') while true do end", "0"]);
    wait_until("others are told", || other.say("GET k").starts_with("-BUSY"));
    assert!(other.say("SCRIPT KILL").starts_with("-UNKILLABLE"));
    assert!(other.say("SHUTDOWN").starts_with("-BUSY"));
    other.send("SHUTDOWN NOSAVE");
    assert!(server.ends_within(Duration::from_secs(10)));
}

#[test]
fn nothing_leads_out_of_the_sandbox() {
    let server = start(&[]);
    for script in [
        // Bytecode and files.
        "return loadstring(string.dump(function() return 1 end))()",
        "return load('\\27Lua')",
        "return dofile('/etc/passwd')",
        "return io.open('/etc/passwd')",
        "return os.execute('true')",
        "return require('x')",
        "return package.loadlib('x', 'y')",
        "return debug.getinfo(1)",
        "return getfenv(0)",
        "return setfenv(1, {})",
        "return newproxy(true)",
        // Metatables of what scripts share.
        "getmetatable('').__index = function() return 1 end",
        "getmetatable('').__gc = 1",
        "setmetatable(_G, {})",
        "setmetatable(string, {})",
        "rawset(_G, 'x', 1)",
        "rawset(string, 'rep', 1)",
        "rawset(getmetatable(''), '__index', 1)",
        "getmetatable(_G).__index = {}",
        "string.rep = 1",
        "redis.call = 1",
        "table.insert(redis, 1)",
        "for k in pairs(_G) do _G[k] = 1 end",
        "local f, t = pairs(redis) t.call = 1",
        "x = 1",
        // Counts and sizes that overflow.
        "return unpack({}, -2147483648, 2147483647)",
        "return unpack({}, 1, 2147483647)",
        "return unpack({}, 0, 2^53)",
        "return struct.pack('I2147483648', 1)",
        "return struct.unpack('c2147483647', 'x')",
        "return struct.unpack('c0', 'x', 2147483647)",
        "return struct.unpack('I2147483647I2147483647', 'x')",
        "return cmsgpack.unpack('\\221\\255\\255\\255\\255')",
        "return cmsgpack.unpack(string.rep('\\145', 100000))",
        "return cjson.decode(string.rep('[', 100000))",
        "return string.find(string.rep('a', 100000), string.rep('a?', 100000))",
        "local s = string.rep('x', 1024 * 1024) while true do s = s .. s end",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "return string.rep('x', 1e10)",
        "local function f() return f() + 1 end return f()",
        "return loadstring(string.rep('(', 100000))",
        "return loadstring(string.rep('=', 70000000))()",
    ] {
        let reply = eval(&server, script);
        assert!(reply.starts_with('-') || reply == "($null)", "{script}: {reply}");
    }
    // Harmless, and must stay so.
    for script in ["return bit.tohex(1, -2147483648)", "return string.rep('', 1000000)", "return #string.rep('x', 1e6)"]
    {
        assert!(!eval(&server, script).starts_with('-'), "{script}");
    }
    assert_eq!(eval(&server, "return ('x'):rep(3)"), "\"xxx\"");
}

/// What the faults of Lua that were found in other servers were set off by: the collector in the middle of compiling, threads
/// and upvalues that die together, long brackets without end, keys that a table forgets while it is walked.
#[test]
fn known_ways_to_break_the_interpreter_lead_nowhere() {
    let server = start(&[]);
    for script in [
        "for i = 1, 300 do local s = 'local a = ' .. i .. ' return a' local f = load(function() collectgarbage() local r = s \
         s = nil return r end, string.rep('n', i * 40)) if f then f() end end return 1",
        "for i = 1, 300 do loadstring('return function() return [[' .. string.rep('x', i) .. ']] end', '=' .. i)() \
         collectgarbage('step', 1) end return 1",
        "for i = 1, 2000 do local c = coroutine.create(function() local u = {} coroutine.yield(function() return u end) end) \
         local _, f = coroutine.resume(c) c = nil if i % 100 == 0 then collectgarbage() end f() end return 1",
        "local c = coroutine.wrap(function() error({}) end) return pcall(c) and 1 or 0",
        "return loadstring('return [' .. string.rep('=', 1000000) .. '[x') and 1 or 0",
        "return loadstring('--[' .. string.rep('=', 1000000)) and 1 or 0",
        "local t = {} for i = 1, 1000 do t[i] = i end for k in pairs(t) do t[k] = nil collectgarbage('step') end return 1",
        "local s = 0 for i = 1, 255 do s = s + select('#', unpack({}, 1, i)) end return s",
        "local ok = pcall(unpack, {}, 1, 1e7) return ok and 1 or 0",
        "local ok = pcall(string.format, string.rep('%s', 500), 1) return ok and 1 or 0",
        "return pcall(string.format, '%99999d', 1) and 1 or 0",
        "local function deep(n) return n == 0 and 0 or (pcall(deep, n - 1) and 1 or 0) end return deep(10000)",
        "return pcall(cjson.encode, setmetatable({}, {__index = function(t, k) return t end})) and 1 or 0",
        "local t = {} t.t = t return pcall(cjson.encode, t) and 1 or 0",
        "local t = {} t[1] = t return pcall(cmsgpack.pack, t) and 1 or 0",
        "local t = {} t.ok = t return t",
        "local t = {} for i = 1, 25 do t = {t} end return t",
        "return redis.sha1hex(string.rep('x', 1e6))",
        "return bit.lshift(1, 1e308) + bit.tobit(0/0) + bit.rshift(-1, -1)",
    ] {
        eval(&server, script);
        assert_eq!(server.client().say("PING"), "+PONG", "{script}");
    }
}

#[test]
fn scripts_see_nothing_of_each_other() {
    let server = start(&[]);
    eval(&server, "local t = {} setmetatable(t, {__index = string}) t.secret = 1");
    for script in ["return secret", "secret = 1", "_G.secret = 1"] {
        assert!(eval(&server, script).starts_with('-'), "{script}");
    }
}

#[test]
fn an_effect_of_a_script_is_that_of_its_commands() {
    let server = start(&[]);
    let (mut monitor, mut client) = (server.client(), server.client());
    assert_eq!(monitor.say("MONITOR"), "+OK");
    let script = "redis.call('SELECT', 3) return redis.call('SET', KEYS[1], 'v')";
    assert_eq!(client.call(&["EVAL", script, "1", "k"]).expect("answered").render(), "+OK");
    for part in ["\"EVAL\"", "lua] \"SELECT\"", "[3 lua] \"SET\" \"k\" \"v\""] {
        let line = monitor.hear();
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(client.say("EXISTS k"), ":0");
    assert_eq!(client.say("SELECT 3"), "+OK");
    assert_eq!(client.say("GET k"), "\"v\"");
}

#[test]
fn many_scripts_and_libraries_leave_little_waste_in_lua() {
    const TEXTS: usize = 12_000;
    let server = start(&[]);
    let mut client = server.client();
    let mut used_after = |words: [&str; 3], field: &str| -> usize {
        for n in 0..TEXTS {
            send(&mut client, &words.map(|word| word.replace("{n}", &n.to_string())).each_ref().map(String::as_str));
        }
        (0..TEXTS).for_each(|_| assert!(client.read().is_ok_and(|reply| !reply.is_error())));
        let info = client.ask("INFO memory").string();
        let found = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')?.parse().ok());
        found.unwrap_or_else(|| panic!("no {field} in {info}"))
    };
    let scripts = used_after(["SCRIPT", "LOAD", "--padding\nreturn {n}"], "used_memory_vm_eval");
    assert!(scripts < 350 * TEXTS, "{scripts}");
    let library = "#!lua name=lib{n}\nredis.register_function('f{n}', function(k, a)\n return {n}\nend)";
    let libraries = used_after(["FUNCTION", "LOAD", library], "used_memory_vm_functions");
    assert!(libraries < 290 * TEXTS, "{libraries}");
}

#[test]
fn what_small_scripts_leave_is_collected_by_itself() {
    let server = start(&[]);
    let mut client = server.client();
    let mut used = || -> usize {
        let info = client.ask("INFO memory").string();
        let found = info.lines().find_map(|line| line.strip_prefix("used_memory_lua:")?.parse().ok());
        found.unwrap_or_else(|| panic!("no used_memory_lua in {info}"))
    };
    eval(&server, "return 1");
    let fresh = used();
    // A collection may come in between.
    wait_until("something that is left", || {
        eval(&server, "local t = {} for n = 1, 400 do t[n] = {n} end");
        used() > fresh + fresh / 4
    });
    wait_until("the collection", || used() < fresh + fresh / 4);
}

#[test]
fn functions_survive_a_reload_and_come_back_from_their_dump() {
    let server = start(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    let code = "#!lua name=lib\nredis.register_function('f', function(k, a) return a[1] end)";
    assert_eq!(client.call(&["FUNCTION", "LOAD", code]).expect("answered").render(), "\"lib\"");
    assert_eq!(client.say("DEBUG RELOAD"), "+OK");
    assert_eq!(client.say("FCALL f 0 x"), "\"x\"");
    let dump = client.ask("FUNCTION DUMP");
    assert_eq!(client.say("FUNCTION FLUSH"), "+OK");
    assert!(client.say("FCALL f 0 x").starts_with("-ERR Function not found"));
    let restored = client.call(&[&b"FUNCTION"[..], b"RESTORE", &dump.text]).expect("answered");
    assert_eq!(restored.render(), "+OK");
    assert_eq!(client.say("FCALL F 0 y"), "\"y\"");
}
