//! Forms of scripts: the words of a command, handed to a script that calls it and makes something of the reply. Knows no server.

use super::check::Check::*;
use super::forms::{Form, form};
use super::pools::Pool;
use super::support::random::Random;

/// What scripts do with the command whose name is ARGV[1], whose key is KEYS[1] and whose other words follow.
const CALLS: &[&str] = &[
    "return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))",
    "return redis.pcall(ARGV[1], KEYS[1], unpack(ARGV, 2))",
    "return {redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2)), redis.call('exists', KEYS[1])}",
    "redis.setresp(3) return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))",
    "redis.setresp(3) return type(redis.pcall(ARGV[1], KEYS[1], unpack(ARGV, 2)))",
    "local r = redis.pcall(ARGV[1], KEYS[1], unpack(ARGV, 2)) if type(r) == 'table' then return r.err or r.ok or #r end return r",
    "local r = redis.pcall(ARGV[1], KEYS[1], unpack(ARGV, 2)) return {type(r), #tostring(r) > 0}",
    "local ok, r = pcall(redis.call, ARGV[1], KEYS[1], unpack(ARGV, 2)) return {tostring(ok), r}",
    "for i = 1, 3 do redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2)) end return redis.call('type', KEYS[1])",
    "local r = redis.pcall(ARGV[1], KEYS[1], unpack(ARGV, 2)) return redis.status_reply(type(r))",
    "local r = redis.pcall(ARGV[1], KEYS[1], unpack(ARGV, 2)) if type(r) == 'table' and r.err then return r end \
     return redis.error_reply('MINE ' .. type(r))",
    "local r = redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2)) return cjson.encode(type(r) == 'table' and #r or r)",
    "local r = redis.pcall(ARGV[1], KEYS[1], unpack(ARGV, 2)) if type(r) == 'string' then \
     return {cmsgpack.unpack(cmsgpack.pack(r)), redis.sha1hex(r), #r} end return r",
    "redis.call('set', KEYS[1], 'mine') return redis.pcall(ARGV[1], KEYS[1], unpack(ARGV, 2))",
    "redis.pcall('del', KEYS[1]) local r = redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2)) return {r, false, 3.9, true, 'x', nil, 7}",
    "#!lua flags=no-writes\nreturn redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))",
    "#!lua\nreturn {KEYS, ARGV, redis.pcall(ARGV[1], KEYS[1], unpack(ARGV, 2))}",
    "return nosuch",
    "return redis.call()",
    "return {1, {2, {3, 'four'}}, {ok = 'fine'}, {err = 'ERR bad'}, false}",
];

/// Scripts that serve who waits.
const PUSHING: &[&str] = &[
    "return redis.call('rpush', KEYS[1], 'x', 'y')",
    "redis.call('lpush', KEYS[1], 'z') return redis.call('llen', KEYS[1])",
    "redis.call('rpush', KEYS[1], 'x') return redis.call('lpop', KEYS[1])",
];

pub const POOLS: &[(&str, Pool)] = &[
    ("pushing", |r: &mut Random| r.pick(PUSHING).as_bytes().to_vec()),
    ("call", |r: &mut Random| r.pick(CALLS).as_bytes().to_vec()),
];

pub const SCRIPTS: &[Form] = &[
    form(6, Exact, "(eval|eval|eval_ro) <call> 1 <str> (get|strlen|incr|getdel)"),
    form(6, Exact, "eval <call> 1 <str> (set|append|setnx|getset|incrby|incrbyfloat) <v>"),
    form(6, Exact, "eval <call> 1 <list> (rpush|lpush|lpushx) +(<v>)"),
    form(6, Exact, "(eval|eval_ro) <call> 1 <list> (lpop|rpop|llen)"),
    form(4, Exact, "(eval|eval_ro) <call> 1 <list> (lrange|ltrim) <idx> <idx>"),
    form(6, Exact, "eval <call> 1 <set> (sadd|srem|sismember|smismember) +(<m>)"),
    form(6, Exact, "eval <call> 1 <hash> (hset|hmset|hsetnx) +(<m> <v>)"),
    form(6, Exact, "(eval|eval_ro) <call> 1 <hash> (hget|hdel|hmget|hexists|hlen) +(<m>)"),
    form(6, Exact, "eval <call> 1 <zset> zadd [nx|xx|gt|lt|ch|incr] +(<score> <m>)"),
    form(6, Exact, "(eval|eval_ro) <call> 1 <zset> (zscore|zmscore|zrem) +(<m>)"),
    form(2, Exact, "(eval|eval_ro) <call> 1 <zset> zrank <m>"),
    form(4, Exact, "(eval|eval_ro) <call> 1 <zset> zrange <idx> <idx> [withscores]"),
    form(4, Exact, "eval <call> 1 <stream> xadd <newid> f1 <lv>"),
    form(4, Exact, "(eval|eval_ro) <call> 1 <stream> (xlen|xrange) [- +]"),
    form(4, Exact, "eval <call> 1 <any> (del|exists|type|unlink|nonsense|watch|multi|subscribe|eval)"),
    form(2, Exact, "eval <call> (0|2|-1|x|1) <any> get"),
    form(2, Exact, "(evalsha|evalsha_ro) (0000000000000000000000000000000000000000|x) 1 <any> get"),
    form(1, Exact, "script exists (0000000000000000000000000000000000000000|x)"),
];
