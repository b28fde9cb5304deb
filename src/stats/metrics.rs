//! INFO's fields as Prometheus reads them (text exposition format 0.0.4). Knows of the server only what INFO's text says, so
//! that a field has one meaning and one place; a metric's name is `redstart_` and the field's.

use std::collections::BTreeMap;
use std::fmt::Write;

/// The media type of what `render` makes.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Fields that only grow; all others are gauges.
const COUNTERS: &[&str] = &[
    "acl_access_denied_auth",
    "acl_access_denied_channel",
    "acl_access_denied_cmd",
    "acl_access_denied_key",
    "aof_delayed_fsync",
    "aof_rewrites",
    "client_output_buffer_limit_disconnections",
    "client_query_buffer_limit_disconnections",
    "dump_payload_sanitizations",
    "eventloop_cycles",
    "eventloop_duration_cmd_sum",
    "eventloop_duration_sum",
    "evicted_clients",
    "evicted_keys",
    "evicted_scripts",
    "expired_keys",
    "expired_subkeys",
    "expired_time_cap_reached_count",
    "keyspace_hits",
    "keyspace_misses",
    "rdb_saves",
    "rejected_connections",
    "reply_buffer_expands",
    "reply_buffer_shrinks",
    "total_commands_processed",
    "total_connections_received",
    "total_error_replies",
    "total_eviction_exceeded_time",
    "total_forks",
    "total_net_input_bytes",
    "total_net_output_bytes",
    "total_reads_processed",
    "total_writes_processed",
    "unexpected_error_replies",
    "used_cpu_sys",
    "used_cpu_user",
];
/// Fields of a command or of an error that only grow.
const PART_COUNTERS: &[&str] = &["calls", "usec", "rejected_calls", "failed_calls", "count"];
/// Texts that say which server this is: the labels of `redstart_info`.
const IDENTITY: &[&str] = &["redis_version", "redstart_version", "redis_mode", "os", "role", "run_id"];

/// One metric: whether it only grows, and its samples (labels in braces or nothing, value).
#[derive(Default)]
struct Metric {
    grows: bool,
    samples: Vec<(String, String)>,
}

/// The metrics of INFO's text, each with its type, in the order of their names.
pub fn render(info: &str) -> String {
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    let mut identity = Vec::new();
    for (name, value) in info.lines().filter_map(|line| line.split_once(':')) {
        if IDENTITY.contains(&name) {
            identity.push(label(name, value));
        } else if is_number(value) {
            let metric = metrics.entry(name.to_owned()).or_default();
            metric.grows = COUNTERS.contains(&name);
            metric.samples.push((String::new(), value.to_owned()));
        } else {
            parts(&mut metrics, name, value);
        }
    }
    let who = Metric { grows: false, samples: vec![(format!("{{{}}}", identity.join(",")), "1".to_owned())] };
    metrics.insert("info".to_owned(), who);
    let mut out = String::with_capacity(16 << 10);
    for (name, metric) in &metrics {
        let kind = if metric.grows { "counter" } else { "gauge" };
        line(&mut out, format_args!("# TYPE redstart_{name} {kind}"));
        for (labels, value) in &metric.samples {
            line(&mut out, format_args!("redstart_{name}{labels} {value}"));
        }
    }
    out
}

/// A field that has several values, of a database, a command or an error, each under a name of its own.
fn parts(metrics: &mut BTreeMap<String, Metric>, name: &str, value: &str) {
    let (prefix, label_name, whose) = if let Some(number) = name.strip_prefix("db").filter(|n| is_number(n)) {
        ("db", "db", number)
    } else if let Some(command) = name.strip_prefix("cmdstat_") {
        ("command", "command", command)
    } else if let Some(command) = name.strip_prefix("latency_percentiles_usec_") {
        ("latency_usec", "command", command)
    } else if let Some(error) = name.strip_prefix("errorstat_") {
        ("error", "error", error)
    } else {
        return;
    };
    for (part, number) in value.split(',').filter_map(|pair| pair.split_once('=')) {
        if !is_number(number) {
            continue;
        }
        let owner = label(label_name, whose);
        let quantile = part.strip_prefix('p').and_then(|percent| percent.parse::<f64>().ok());
        let (metric, labels) = match quantile {
            Some(percent) => {
                (prefix.to_owned(), format!("{{{owner},quantile=\"{}\"}}", (percent * 1000.0).round() / 100_000.0))
            }
            None => (format!("{prefix}_{part}"), format!("{{{owner}}}")),
        };
        let metric = metrics.entry(metric).or_default();
        metric.grows = PART_COUNTERS.contains(&part);
        metric.samples.push((labels, number.to_owned()));
    }
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// `name="value"`, escaped.
fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a string takes all that is written");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_become_metrics_of_their_names_and_types() {
        let info = "# Server\r\nredis_version:7.2.4\r\nos:Linux \"x\"\r\n# Stats\r\nkeyspace_hits:12\r\n\
                    mem_fragmentation_ratio:1.25\r\nused_memory_human:1.00M\r\n# Keyspace\r\n\
                    db0:keys=5,expires=1,avg_ttl=0\r\ndb9:keys=2,expires=0,avg_ttl=0\r\n\
                    cmdstat_config|get:calls=3,usec=40,usec_per_call=13.33\r\n\
                    latency_percentiles_usec_get:p50=1.003,p99.9=7\r\nerrorstat_ERR:count=2\r\nmaxmemory_policy:noeviction\r\n";
        let expected = "# TYPE redstart_command_calls counter\n\
                        redstart_command_calls{command=\"config|get\"} 3\n\
                        # TYPE redstart_command_usec counter\n\
                        redstart_command_usec{command=\"config|get\"} 40\n\
                        # TYPE redstart_command_usec_per_call gauge\n\
                        redstart_command_usec_per_call{command=\"config|get\"} 13.33\n\
                        # TYPE redstart_db_avg_ttl gauge\n\
                        redstart_db_avg_ttl{db=\"0\"} 0\nredstart_db_avg_ttl{db=\"9\"} 0\n\
                        # TYPE redstart_db_expires gauge\n\
                        redstart_db_expires{db=\"0\"} 1\nredstart_db_expires{db=\"9\"} 0\n\
                        # TYPE redstart_db_keys gauge\n\
                        redstart_db_keys{db=\"0\"} 5\nredstart_db_keys{db=\"9\"} 2\n\
                        # TYPE redstart_error_count counter\nredstart_error_count{error=\"ERR\"} 2\n\
                        # TYPE redstart_info gauge\n\
                        redstart_info{redis_version=\"7.2.4\",os=\"Linux \\\"x\\\"\"} 1\n\
                        # TYPE redstart_keyspace_hits counter\nredstart_keyspace_hits 12\n\
                        # TYPE redstart_latency_usec gauge\n\
                        redstart_latency_usec{command=\"get\",quantile=\"0.5\"} 1.003\n\
                        redstart_latency_usec{command=\"get\",quantile=\"0.999\"} 7\n\
                        # TYPE redstart_mem_fragmentation_ratio gauge\nredstart_mem_fragmentation_ratio 1.25\n";
        assert_eq!(render(info), expected);
    }
}
