//! The commands that are generated, one row per form, and how the two replies to it are compared. The language of the rows
//! is drawn in `grammar.rs`. Knows no server.

use super::check::Check::{self, *};
use super::streams::STREAMS;

/// One form.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// How often, relative to the others of its family.
    pub weight: u32,
    pub check: Check,
    /// Text in the language of `grammar.rs`.
    pub text: &'static str,
}

/// A family and its share of the commands.
pub struct Family {
    pub name: &'static str,
    pub weight: u32,
    pub forms: &'static [Form],
}

pub const fn form(weight: u32, check: Check, text: &'static str) -> Form {
    Form { weight, check, text }
}

pub const FAMILIES: &[Family] = &[
    Family { name: "strings", weight: 16, forms: STRINGS },
    Family { name: "generic", weight: 16, forms: GENERIC },
    Family { name: "lists", weight: 14, forms: LISTS },
    Family { name: "sets", weight: 14, forms: SETS },
    Family { name: "hashes", weight: 14, forms: HASHES },
    Family { name: "expiry of fields", weight: 8, forms: super::hash_expiry::FORMS },
    Family { name: "sorted sets", weight: 22, forms: SORTED_SETS },
    Family { name: "streams", weight: 16, forms: STREAMS },
    Family { name: "geo", weight: 8, forms: super::forms_geo::GEO },
    Family { name: "pubsub", weight: 4, forms: super::forms_pubsub::PUBSUB },
    Family { name: "bitmaps", weight: 10, forms: super::forms_bits::BITS },
    Family { name: "hyperloglogs", weight: 6, forms: super::forms_bits::HLLS },
    Family { name: "scripts", weight: 8, forms: super::forms_scripts::SCRIPTS },
    Family { name: "transactions", weight: 5, forms: TRANSACTIONS },
    Family { name: "connection", weight: 4, forms: CONNECTION },
    Family { name: "limits", weight: 1, forms: LIMITS },
];

const STRINGS: &[Form] = &[
    form(20, Exact, "set <str> <v>"),
    form(8, Exact, "set <num> <int>"),
    form(25, Exact, "set <str> <v> {nx|xx|get|ex <sec>|px <ms>|exat <at>|pxat <atms>|keepttl}"),
    form(3, Exact, "set <any> <v> {nx|xx|get|keepttl}"),
    form(6, Exact, "setnx <str> <v>"),
    form(4, Exact, "setex <str> <sec> <v>"),
    form(4, Exact, "psetex <str> <ms> <v>"),
    form(12, Exact, "get (<str>|<num>|<any>)"),
    form(6, Exact, "getset <str> <v>"),
    form(6, Exact, "getdel <str>"),
    form(10, Exact, "getex <str> {ex <sec>|px <ms>|exat <at>|pxat <atms>|persist}"),
    form(8, Exact, "mget +(<any>)"),
    form(6, Exact, "mset +(<str> <v>)"),
    form(6, Exact, "msetnx +(<none> <v>) [<str> <v>]"),
    form(10, Exact, "append (<str>|<num>) <v>"),
    form(6, Exact, "strlen (<str>|<num>|<any>)"),
    form(10, Exact, "(getrange|substr) (<str>|<num>) <idx> <idx>"),
    form(10, Exact, "setrange <str> <off> <v>"),
    form(12, Exact, "(incr|decr) <num>"),
    form(14, Exact, "(incrby|decrby) <num> <int>"),
    form(14, Exact, "incrbyfloat <num> <float>"),
    form(4, Exact, "(incr|decr) <any>"),
    form(8, Exact, "lcs <str> <str> {len|idx|minmatchlen <ncnt>|withmatchlen}"),
];

const GENERIC: &[Form] = &[
    form(10, Exact, "(del|unlink) +(<any>)"),
    form(6, Exact, "(exists|touch) +(<any>)"),
    form(6, Exact, "type <any>"),
    form(12, Exact, "expire <any> <sec> {nx|xx|gt|lt}"),
    form(12, Exact, "pexpire <any> <ms> {nx|xx|gt|lt}"),
    form(16, Exact, "expireat <any> <at> {nx|xx|gt|lt}"),
    form(16, Exact, "pexpireat <any> <atms> {nx|xx|gt|lt}"),
    form(12, Near, "(ttl|expiretime) <any>"),
    form(12, Near, "(pttl|pexpiretime) <any>"),
    form(8, Exact, "persist <any>"),
    form(10, Exact, "(rename|renamenx) <any> <any>"),
    form(12, Exact, "copy <any> <any> {db <db>|replace}"),
    form(6, Exact, "move <any> <db>"),
    form(4, Sample { all: "keys *" }, "randomkey"),
    form(6, Unordered, "keys <pat>"),
    form(4, Exact, "dbsize"),
    form(12, Encoding, "object encoding <any>"),
    form(2, Kind, "object refcount <any>"),
    form(2, Kind, "object idletime <any>"),
    form(1, Exact, "object freq <any>"),
    form(1, Kind, "object help"),
    form(1, Encoding, "object (freq|encoding|refcount|idletime|nonsense) [<any>]"),
    form(5, Scan, "scan 0 count <scancnt> {match <pat>|type <type>}"),
    form(2, Scan, "scan (0|<junk>) {count <scancnt>|match <pat>|type <type>|<junk>}"),
    form(1, Exact, "swapdb <db> <db>"),
    form(1, Exact, "(flushdb|flushall) {async|sync}"),
    // The weights of a sorted set's members are looked up in no order that could be compared: misses are news.
    form(5, Exact, "sort <list> {by <sortby>|limit <idx> <ncnt>|get <sortget>|asc|desc|store <list>}"),
    form(3, Exact, "sort <zset> {limit <idx> <ncnt>|get <sortget>|asc|desc|store <list>}"),
    form(8, Exact, "sort (<list>|<set>|<zset>) alpha {limit <idx> <ncnt>|get <sortget>|asc|desc|store <list>}"),
    form(3, Exact, "sort <lex> by nosort {limit <idx> <ncnt>|get <sortget>|asc|desc|store <list>}"),
    form(4, Exact, "sort_ro (<list>|<set>|<zset>) {alpha|limit <idx> <ncnt>|get <sortget>|asc|desc}"),
];

const LISTS: &[Form] = &[
    form(20, Exact, "(lpush|rpush) <list> +(<lv>)"),
    form(3, Exact, "(lpush|rpush) <list> *(<wide>)"),
    form(4, Exact, "(lpushx|rpushx) <list> +(<lv>)"),
    form(10, Exact, "(lpop|rpop) <list> [<cnt>]"),
    form(4, Exact, "llen <list>"),
    form(8, Exact, "lindex <list> <idx>"),
    form(8, Exact, "lset <list> <idx> <lv>"),
    form(8, Exact, "linsert <list> (before|after) <lv> <lv>"),
    form(10, Exact, "lrange <list> <idx> <idx>"),
    form(6, Exact, "ltrim <list> <idx> <idx>"),
    form(8, Exact, "lrem <list> <ncnt> <lv>"),
    form(12, Exact, "lpos <list> <lv> {rank <ncnt>|count <cnt>|maxlen <cnt>}"),
    form(4, Exact, "rpoplpush <list> <list>"),
    form(8, Exact, "lmove <list> <list> (left|right) (left|right)"),
    form(6, Exact, "lmpop #(<list>) (left|right) [count <cnt>]"),
];

const SETS: &[Form] = &[
    form(14, Exact, "sadd <set> +(<m>)"),
    form(12, Exact, "sadd <set> +(<i>)"),
    form(4, Exact, "sadd <set> *(<wide>)"),
    form(3, Exact, "sadd <set> *(<wideint>)"),
    form(10, Exact, "srem <set> +(<m>)"),
    form(3, Exact, "srem <set> *(<wide>)"),
    form(8, Exact, "sismember <set> <m>"),
    form(6, Exact, "smismember <set> +(<m>)"),
    form(4, Exact, "scard <set>"),
    form(8, Unordered, "smembers <set>"),
    form(8, Exact, "smove <set> <set> <m>"),
    form(10, Unordered, "(sinter|sunion|sdiff) +(<set>)"),
    form(10, Exact, "(sinterstore|sunionstore|sdiffstore) <set> +(<set>)"),
    form(6, Exact, "sintercard #(<set>) [limit <ncnt>]"),
    form(6, Pops { all: "smembers @" }, "spop <set> [<cnt>]"),
    form(8, Sample { all: "smembers @" }, "srandmember <set> [<ncnt>]"),
    form(5, Scan, "sscan <set> 0 count <scancnt> [match <pat>]"),
    form(2, Scan, "sscan <set> <junk> {count <scancnt>|match <pat>}"),
];

const HASHES: &[Form] = &[
    form(16, Exact, "hset <hash> +(<m> <v>)"),
    form(4, Exact, "hset <hash> *(<wide> <m>)"),
    form(6, Exact, "hset <hash> +(<m> <int>)"),
    form(6, Exact, "hmset <hash> +(<m> <lv>)"),
    form(6, Exact, "hsetnx <hash> <m> <lv>"),
    form(8, Exact, "hget <hash> <m>"),
    form(8, Exact, "hmget <hash> +(<m>)"),
    form(10, Exact, "hdel <hash> +(<m>)"),
    form(3, Exact, "hdel <hash> *(<wide>)"),
    form(5, Exact, "hexists <hash> <m>"),
    form(4, Exact, "hlen <hash>"),
    form(5, Exact, "hstrlen <hash> <m>"),
    form(6, Unordered, "(hkeys|hvals) <hash>"),
    form(6, Pairs, "hgetall <hash>"),
    form(10, Exact, "hincrby <hash> <m> <int>"),
    form(10, Exact, "hincrbyfloat <hash> <m> <float>"),
    form(8, Sample { all: "hgetall @" }, "hrandfield <hash> [<ncnt> [withvalues]]"),
    form(5, ScanPairs, "hscan <hash> 0 count <scancnt> [match <pat>]"),
    form(2, ScanPairs, "hscan <hash> <junk> {count <scancnt>|match <pat>}"),
];

const SORTED_SETS: &[Form] = &[
    form(16, Exact, "zadd <zset> +(<score> <m>)"),
    form(16, Exact, "zadd <zset> {nx|xx|gt|lt|ch|incr} +(<score> <m>)"),
    form(6, Exact, "zadd <zset> {nx|xx|gt|lt|ch} incr <score> <m>"),
    form(4, Exact, "zadd <zset> *(<exact> <wide>)"),
    form(8, Exact, "zincrby <zset> <score> <m>"),
    form(8, Exact, "zrem <zset> +(<m>)"),
    form(2, Exact, "zrem <zset> *(<wide>)"),
    form(6, Exact, "zscore <zset> <m>"),
    form(6, Exact, "zmscore <zset> +(<m>)"),
    form(4, Exact, "zcard <zset>"),
    form(6, Exact, "zcount <zset> <smin> <smax>"),
    form(8, Fixed, "(zrank|zrevrank) <zset> <m>"),
    form(8, Exact, "zrange <zset> <idx> <idx> {rev|withscores}"),
    form(8, Exact, "zrange <zset> (<smin> <smax>|<smax> <smin>) byscore {rev|limit <idx> <ncnt>|withscores}"),
    form(6, Exact, "zrange <lex> (<lmin> <lmax>|+ -) bylex {rev|limit <idx> <ncnt>|withscores}"),
    form(5, Exact, "zrevrange <zset> <idx> <idx> [withscores]"),
    form(5, Exact, "(zrangebyscore|zrevrangebyscore) <zset> <smin> <smax> {withscores|limit <idx> <ncnt>}"),
    form(5, Exact, "(zrangebylex|zrevrangebylex) <lex> <lmin> <lmax> {limit <idx> <ncnt>}"),
    form(4, Exact, "zlexcount <lex> <lmin> <lmax>"),
    form(8, Fixed, "zadd <lex> +(0 <m>)"),
    form(2, Fixed, "zadd <lex> *(0 <wide>)"),
    form(2, Exact, "zrem <lex> +(<m>)"),
    form(2, Exact, "zremrangebylex <lex> <lmin> <lmax>"),
    form(3, Exact, "zremrangebyscore <zset> <smin> <smax>"),
    form(3, Exact, "zremrangebyrank <zset> <idx> <idx>"),
    form(5, Exact, "zrangestore <zset> <zset> <idx> <idx> {rev}"),
    form(5, Exact, "zrangestore <zset> <zset> <smin> <smax> byscore {rev|limit <idx> <ncnt>|withscores}"),
    form(6, Exact, "(zpopmin|zpopmax) <zset> [<cnt>]"),
    form(5, Exact, "zmpop #(<zset>) (min|max) [count <cnt>]"),
    form(9, Exact, "(zunion|zinter) #(<zs>) {weights =(<w>)|aggregate (sum|min|max)|withscores}"),
    form(9, Exact, "(zunionstore|zinterstore) <zset> #(<zs>) {weights =(<w>)|aggregate (sum|min|max)}"),
    form(5, Exact, "zdiff #(<zs>) [withscores]"),
    form(5, Exact, "zdiffstore <zset> #(<zs>)"),
    form(5, Exact, "zintercard #(<zs>) [limit <ncnt>]"),
    form(6, Sample { all: "zrange @ 0 -1 withscores" }, "zrandmember <zset> [<ncnt> [withscores]]"),
    form(5, ScanPairs, "zscan <zset> 0 count <scancnt> [match <pat>]"),
    form(2, ScanPairs, "zscan <zset> <junk> {count <scancnt>|match <pat>}"),
];

const TRANSACTIONS: &[Form] = &[
    form(10, Fixed, "multi"),
    form(12, Exec, "exec"),
    form(4, Fixed, "discard"),
    form(6, Fixed, "watch +(<any>)"),
    form(2, Fixed, "unwatch"),
    form(1, Exact, "(multi|exec|discard|unwatch|watch) <v>"),
];

const CONNECTION: &[Form] = &[
    form(6, Exact, "ping [<v>]"),
    form(4, Exact, "echo <v>"),
    form(12, Exact, "select <db>"),
    form(4, Hello, "hello [(2|3) [setname <name>]]"),
    form(2, Hello, "hello (1|4|x|2 nonsense|3 auth|3 auth default)"),
    form(4, Exact, "client setname <name>"),
    form(4, Exact, "client getname"),
    form(2, Kind, "client (id|info|list|help)"),
    form(2, Exact, "client no-evict (on|off|maybe)"),
    form(1, Exact, "client (unpause|reply on|reply maybe|nonsense)"),
    form(2, Silent, "client reply skip"),
    form(1, Exact, "auth [default] <v>"),
    form(1, Fixed, "reset"),
    form(2, Exact, "(foo|getx|objec|se) +(<v>)"),
    form(1, Exact, "(client|config|object|command) (foo|getx) [<v>]"),
    form(
        3,
        Fixed,
        "command getkeys (get <str>|mset <str> <v> <str> <v>|zunionstore <zset> #(<zs>)|set x|lmpop #(<list>) left)",
    ),
    form(1, Exact, "config get (hash-max-listpack-entries|nonsense|set-max-intset-entries|list-max-listpack-size)"),
    form(1, Exact, "config set (nonsense 1|hash-max-listpack-entries x|maxmemory -1|hz abc|databases 3|port)"),
];

/// The thresholds at which values change their encoding.
const LIMITS: &[Form] = &[
    form(3, Fixed, "config set hash-max-listpack-entries <entries>"),
    form(2, Fixed, "config set hash-max-listpack-value <bytes>"),
    form(3, Fixed, "config set zset-max-listpack-entries <entries>"),
    form(2, Fixed, "config set zset-max-listpack-value <bytes>"),
    form(3, Fixed, "config set set-max-intset-entries <entries>"),
    form(3, Fixed, "config set list-max-listpack-size <listsize>"),
    form(1, Fixed, "config set list-compress-depth (0|1|2)"),
    form(2, Fixed, "config set hll-sparse-max-bytes (3000|100|0|20000)"),
    form(1, Fixed, "config set hash-max-ziplist-entries <entries> zset-max-ziplist-value <bytes>"),
];

/// What brings the thresholds back to the defaults that both servers have.
pub const DEFAULT_LIMITS: &[&str] = &[
    "config set hash-max-listpack-entries 128",
    "config set hash-max-listpack-value 64",
    "config set zset-max-listpack-entries 128",
    "config set zset-max-listpack-value 64",
    "config set set-max-intset-entries 512",
    "config set list-max-listpack-size -2",
    "config set list-compress-depth 0",
    "config set hll-sparse-max-bytes 3000",
    "config set rdbcompression no",
];
