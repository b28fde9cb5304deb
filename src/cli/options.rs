//! The command line: where to connect, how to print, what to do. Knows no socket.

/// Port if none is named.
const DEFAULT_PORT: u16 = 6379;

/// What `--help` prints.
const HELP: &str = "\
redstart-cli [options] [command [argument...]]
redstart-cli bench [options]

Without a command: a prompt on a terminal, else commands from standard input, one a line.

  -h HOST          host (127.0.0.1)
  -p PORT          port (6379)
  -s SOCKET        a unix socket instead
  -a PASSWORD      log in; the variable REDISCLI_AUTH does the same
  --user NAME      log in as this user
  -n DB            select a database
  -2, -3           speak RESP2 (the default) or RESP3
  -e               end with status 1 if the command gives an error
  --tls            speak TLS
  --cacert FILE    trust the authorities in FILE (PEM); else those of the system
  --cacertdir DIR  trust those in the files of DIR
  --cert FILE      show this certificate (PEM)
  --key FILE       the key of --cert
  --sni NAME       the name that the server's certificate must hold
  --insecure       take any certificate
  --tls-ciphers LIST, --tls-ciphersuites LIST
                   ciphers up to TLS 1.2, and of TLS 1.3, by their names in OpenSSL
  --raw            print strings as they are (the default when the output is no terminal)
  --no-raw         print types and quotes (the default on a terminal)
  --help           this text
  --version        version

bench measures PING SET GET INCR LPUSH SADD and takes, besides -h -p -s -a --user and those of TLS:

  -c CLIENTS       connections (50)
  -n REQUESTS      requests of each test (100000)
  -d BYTES         length of the values (3)
  -P REQUESTS      requests sent in one go (1)
  -t TESTS         of ping, set, get, incr, lpush, sadd or all, comma between (all)
";

/// Where to connect and how to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub host: String,
    pub port: u16,
    pub socket: Option<String>,
    pub user: Option<String>,
    pub password: Option<String>,
    pub db: u32,
    pub resp3: bool,
    /// As they are (true), with types and quotes (false), or as the output suits.
    pub raw: Option<bool>,
    /// An error reply makes the status 1.
    pub strict: bool,
    /// With TLS, and how.
    pub tls: Option<Tls>,
}

/// How TLS is spoken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    pub cacert: Option<String>,
    pub cacertdir: Option<String>,
    pub cert: Option<String>,
    pub key: Option<String>,
    pub sni: Option<String>,
    pub insecure: bool,
    pub ciphers: String,
    pub ciphersuites: String,
}

/// What a benchmark does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub clients: usize,
    pub requests: u64,
    pub value_bytes: usize,
    pub pipeline: usize,
    pub tests: Vec<&'static str>,
}

/// The benchmark's tests, in their order.
pub const TESTS: &[&str] = &["ping", "set", "get", "incr", "lpush", "sadd"];

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Todo {
    Help(String),
    Command(Options, Vec<Vec<u8>>),
    Prompt(Options),
    Bench(Options, Plan),
}

/// Reads the arguments; `env_password` is what the environment says.
///
/// # Errors
/// A text for the user: an unknown option, one without its value, a value that does not fit.
pub fn parse(args: Vec<Vec<u8>>, env_password: Option<String>) -> Result<Todo, String> {
    let mut options = Options {
        host: "127.0.0.1".into(),
        port: DEFAULT_PORT,
        socket: None,
        user: None,
        password: env_password,
        db: 0,
        resp3: false,
        raw: None,
        strict: false,
        tls: None,
    };
    let mut plan = Plan { clients: 50, requests: 100_000, value_bytes: 3, pipeline: 1, tests: TESTS.to_vec() };
    let mut benches = false;
    let mut args = args.into_iter().peekable();
    loop {
        // The word bench may stand before the options or between them.
        if !benches && args.next_if(|arg| arg == b"bench").is_some() {
            benches = true;
        }
        let Some(flag) = args.next_if(|arg| benches || arg.starts_with(b"-")) else { break };
        let flag = String::from_utf8_lossy(&flag).into_owned();
        if matches!(flag.as_str(), "--help" | "--version") {
            let version = format!("redstart-cli {}\n", env!("CARGO_PKG_VERSION"));
            return Ok(Todo::Help(if flag == "--help" { HELP.into() } else { version }));
        }
        let mut value = || {
            let value = args.next().ok_or_else(|| format!("{flag} needs a value; try --help"))?;
            String::from_utf8(value).map_err(|_| format!("the value of {flag} is not text"))
        };
        // The benchmark's own come first: -n means requests there.
        let known = benches && plan.accept(&flag, &mut value)? || options.accept(&flag, &mut value)?;
        if !known {
            return Err(format!("unknown option {flag}; try --help"));
        }
    }
    let words: Vec<Vec<u8>> = args.collect();
    Ok(match (benches, words.is_empty()) {
        (true, _) => Todo::Bench(options, plan),
        (false, true) => Todo::Prompt(options),
        (false, false) => Todo::Command(options, words),
    })
}

type NextValue<'a> = dyn FnMut() -> Result<String, String> + 'a;

fn number<T: std::str::FromStr>(flag: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{flag} {text}: not a number that fits"))
}

impl Options {
    fn accept(&mut self, flag: &str, value: &mut NextValue<'_>) -> Result<bool, String> {
        match flag {
            "-h" => self.host = value()?,
            "-p" => self.port = number(flag, &value()?)?,
            "-s" => self.socket = Some(value()?),
            "-a" => self.password = Some(value()?),
            "--user" => self.user = Some(value()?),
            "-n" => self.db = number(flag, &value()?)?,
            "-2" => self.resp3 = false,
            "-3" => self.resp3 = true,
            "-e" => self.strict = true,
            "--raw" => self.raw = Some(true),
            "--no-raw" => self.raw = Some(false),
            _ => return self.tls.get_or_insert_default().accept(flag, value),
        }
        Ok(true)
    }
}

impl Tls {
    fn accept(&mut self, flag: &str, value: &mut NextValue<'_>) -> Result<bool, String> {
        match flag {
            "--tls" => {}
            "--cacert" => self.cacert = Some(value()?),
            "--cacertdir" => self.cacertdir = Some(value()?),
            "--cert" => self.cert = Some(value()?),
            "--key" => self.key = Some(value()?),
            "--sni" => self.sni = Some(value()?),
            "--insecure" => self.insecure = true,
            "--tls-ciphers" => self.ciphers = value()?,
            "--tls-ciphersuites" => self.ciphersuites = value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Plan {
    fn accept(&mut self, flag: &str, value: &mut NextValue<'_>) -> Result<bool, String> {
        match flag {
            "-c" => self.clients = number::<usize>(flag, &value()?)?.max(1),
            "-n" => self.requests = number::<u64>(flag, &value()?)?.max(1),
            "-d" => self.value_bytes = number(flag, &value()?)?,
            "-P" => self.pipeline = number::<usize>(flag, &value()?)?.max(1),
            "-t" => self.tests = tests(&value()?)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn tests(names: &str) -> Result<Vec<&'static str>, String> {
    if names.eq_ignore_ascii_case("all") {
        return Ok(TESTS.to_vec());
    }
    let find = |name: &str| TESTS.iter().copied().find(|test| test.eq_ignore_ascii_case(name.trim()));
    names
        .split(',')
        .map(|name| find(name).ok_or_else(|| format!("no test {name}: {} or all", TESTS.join(", "))))
        .collect()
}

#[cfg(test)]
mod tests_of_options {
    use super::*;

    fn parsed(line: &str) -> Result<Todo, String> {
        parse(line.split_whitespace().map(|w| w.as_bytes().to_vec()).collect(), None)
    }

    #[test]
    fn options_end_where_the_command_begins() {
        let Ok(Todo::Command(options, words)) = parsed("-p 7000 -n 2 -3 -a secret set -n 3") else {
            panic!("a command")
        };
        assert_eq!((options.port, options.db, options.resp3), (7000, 2, true));
        assert_eq!(options.password.as_deref(), Some("secret"));
        assert_eq!(words, [&b"set"[..], b"-n", b"3"]);
        assert!(matches!(parsed("-s /tmp/s"), Ok(Todo::Prompt(o)) if o.socket.as_deref() == Some("/tmp/s")));
    }

    #[test]
    fn the_benchmark_has_its_own() {
        let Ok(Todo::Bench(options, plan)) = parsed("bench -h there -c 3 -n 10 -d 5 -P 4 -t get,SET") else {
            panic!("a bench")
        };
        assert_eq!((options.host.as_str(), options.db), ("there", 0));
        assert_eq!((plan.clients, plan.requests, plan.value_bytes, plan.pipeline), (3, 10, 5, 4));
        assert_eq!(plan.tests, ["get", "set"]);
        assert!(matches!(parsed("-p 1 bench -t all"), Ok(Todo::Bench(_, plan)) if plan.tests == TESTS));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        for (line, text) in [
            ("-p", "-p needs a value; try --help"),
            ("-p x ping", "-p x: not a number that fits"),
            ("--nonsense", "unknown option --nonsense; try --help"),
            ("bench word", "unknown option word; try --help"),
            ("bench -t nothing", "no test nothing: ping, set, get, incr, lpush, sadd or all"),
        ] {
            assert_eq!(parsed(line), Err(text.to_string()), "{line}");
        }
    }
}
