//! The process's title from `proc-title-template`.

use crate::config::Config;
use crate::sys::title;

/// Shows the title that the options ask for, if they ask for one. First called while the process has one thread.
pub(super) fn show(config: &Config) {
    if !config.set_proc_title {
        return;
    }
    if let Some(program) = title::claim() {
        title::set(&expand(&config.proc_title_template.lossy(), config, &program));
    }
}

/// Shows it anew if an option in it has a new value.
pub(super) fn follow(config: &Config, names: &[&'static str]) {
    if ["proc-title-template", "port", "tls-port", "bind"].iter().any(|name| names.contains(name)) {
        show(config);
    }
}

/// Puts values for the names in braces; `{{` is a brace. Blanks at both ends are left out.
fn expand(template: &str, config: &Config, program: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        out.push_str(before);
        if let Some(behind) = behind.strip_prefix('{') {
            out.push('{');
            rest = behind;
            continue;
        }
        let (name, behind) = behind.split_once('}').unwrap_or((behind, ""));
        out.push_str(&value(name, config, program));
        rest = behind;
    }
    out.push_str(rest);
    out.trim_matches(' ').to_owned()
}

fn value(name: &str, config: &Config, program: &str) -> String {
    match name {
        "title" => program.to_owned(),
        "listen-addr" => listen_addr(config),
        "server-mode" if config.cluster_enabled => "[cluster]".to_owned(),
        "port" => config.port.to_string(),
        "tls-port" => config.tls_port.to_string(),
        "unixsocket" => config.unixsocket.lossy().into_owned(),
        "config-file" => config.config_file.as_ref().map_or_else(|| "-".to_owned(), |path| path.display().to_string()),
        _ => String::new(),
    }
}

/// The first address with the port, or the unix socket if there is no port.
fn listen_addr(config: &Config) -> String {
    let port = if config.port != 0 { config.port } else { config.tls_port };
    if port == 0 && !config.unixsocket.is_empty() {
        return format!("unixsocket:{}", config.unixsocket.lossy());
    }
    let first = config.bind.first().map_or("*".into(), |addr| addr.lossy());
    format!("{}:{port}", first.strip_prefix('-').unwrap_or(&first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Text;

    fn expanded(template: &str, change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config { port: 7000, ..Config::default() };
        change(&mut config);
        expand(template, &config, "redstart-server")
    }

    /// Observed from Redis 7.0.15.
    #[test]
    fn titles_are_those_of_the_reference() {
        let default = Config::default().proc_title_template.lossy().into_owned();
        assert_eq!(expanded(&default, |_| {}), "redstart-server *:7000");
        let bind = |config: &mut Config| config.bind = vec![Text::from(&b"-127.0.0.1"[..]), Text::from(&b"::1"[..])];
        assert_eq!(expanded(&default, bind), "redstart-server 127.0.0.1:7000");
        let unix = |config: &mut Config| (config.port, config.unixsocket) = (0, Text::from(&b"/tmp/u.sock"[..]));
        assert_eq!(expanded(&default, unix), "redstart-server unixsocket:/tmp/u.sock");
        assert_eq!(expanded(&default, |config| config.cluster_enabled = true), "redstart-server *:7000 [cluster]");
        let all = "{title}|{{x}|{listen-addr}|{port}|{tls-port}|{unixsocket}|{config-file}|{server-mode}|  ";
        assert_eq!(expanded(all, |_| {}), "redstart-server|{x}|*:7000|7000|0||-||");
    }
}
