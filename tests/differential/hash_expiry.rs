//! The forms of commands about deadlines of hash fields. The reference has them since 7.4 and 8.0: with an older one in its place
//! they are left out.

use super::check::Check::*;
use super::forms::{Form, form};

pub const FORMS: &[Form] = &[
    form(10, Exact, "hexpire <hash> <sec> [nx|xx|gt|lt] fields #(<m>)"),
    form(10, Exact, "hpexpire <hash> <ms> [nx|xx|gt|lt] fields #(<m>)"),
    form(14, Exact, "hexpireat <hash> <at> [nx|xx|gt|lt] fields #(<m>)"),
    form(14, Exact, "hpexpireat <hash> <atms> [nx|xx|gt|lt] fields #(<m>)"),
    form(2, Exact, "hpexpireat <any> <atms> (nx|xx|gt|lt|fields|<junk>) [fields] #(<m>)"),
    form(10, Near, "(httl|hexpiretime) <hash> fields #(<m>)"),
    form(10, NearMs, "(hpttl|hpexpiretime) <hash> fields #(<m>)"),
    form(2, NearMs, "(hpttl|hpexpiretime|httl|hexpiretime) <any> (fields|<junk>) #(<m>)"),
    form(10, Exact, "hpersist <hash> fields #(<m>)"),
    form(1, Exact, "hpersist <any> (fields|<junk>) #(<m>)"),
    form(10, Exact, "hgetdel <hash> fields #(<m>)"),
    form(1, Exact, "hgetdel <any> (fields|<junk>) #(<m>)"),
    form(14, Exact, "hgetex <hash> [ex <sec>|px <ms>|exat <at>|pxat <atms>|persist] fields #(<m>)"),
    form(2, Exact, "hgetex <any> {ex <sec>|px <ms>|exat <at>|pxat <atms>|persist} [fields|<junk>] #(<m>)"),
    form(14, Exact, "hsetex <hash> [fnx|fxx] [ex <sec>|px <ms>|exat <at>|pxat <atms>|keepttl] fields #(<m> <v>)"),
    form(4, Exact, "hsetex <any> {fnx|fxx|ex <sec>|px <ms>|exat <at>|pxat <atms>|keepttl} [fields|<junk>] #(<m> <v>)"),
    // What the others do to a field with a deadline.
    form(8, Exact, "hset <hash> +(<m> <v>)"),
    form(4, Exact, "hset <hash> *(<wide> <m>)"),
    form(4, Exact, "hpexpireat <hash> <atms> fields 3 <wide> <wide> <wide>"),
    form(4, Exact, "hincrby <hash> <m> <int>"),
    form(4, Exact, "hdel <hash> +(<m>)"),
    form(3, Exact, "(copy|rename) <hash> <hash>"),
];
