//! The one place that spells reply errors. A client's mistake is a `CmdError`; it becomes one error line.

use crate::acl::What;
use crate::keyspace::WrongType;
use std::borrow::Cow;
use std::fmt;

/// Longest part of a client's word that an error repeats.
const SHOWN_BYTES: usize = 128;

/// Why a command was refused. Its text is the error line without the dash, code first. Bytes, for it may repeat a client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CmdError(Cow<'static, [u8]>);

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl CmdError { $($(#[$doc])* pub const $name: CmdError = CmdError::text($text);)* }
    };
}

texts! {
    /// A script's SHA-1 that is not known.
    NO_SCRIPT = "NOSCRIPT No matching script. Please use EVAL.";
    /// More keys of a script than there are words.
    TOO_MANY_KEYS = "ERR Number of keys can't be greater than number of args";
    /// A negative number of keys of a script.
    NEGATIVE_KEYS = "ERR Number of keys can't be negative";
    /// A number of keys of a function that is none.
    BAD_KEY_COUNT = "ERR Bad number of keys provided";
    /// SCRIPT FLUSH with another word.
    SCRIPT_FLUSH = "ERR SCRIPT FLUSH only support SYNC|ASYNC option";
    /// FUNCTION FLUSH with another word.
    FUNCTION_FLUSH = "ERR FUNCTION FLUSH only supports SYNC|ASYNC option";
    /// A script that may write, run by a command that may not.
    SCRIPT_WRITES_RO = "ERR Can not execute a script with write flag using *_ro command.";
    /// A script that may use more memory than there is.
    SCRIPT_OOM = "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'";
    /// No script runs.
    NOT_BUSY = "NOTBUSY No scripts in execution right now.";
    /// A script that has written.
    UNKILLABLE = "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.";
    /// A script runs for long.
    BUSY_SCRIPT = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
    /// A function runs for long.
    BUSY_FUNCTION = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";
    /// A function that does not exist.
    NO_FUNCTION = "ERR Function not found";
    /// A library that does not exist.
    NO_LIBRARY = "ERR Library not found";
    /// FUNCTION RESTORE with another word.
    RESTORE_POLICY = "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.";
    /// A payload that is none, or of a newer version.
    BAD_PAYLOAD = "ERR DUMP payload version or checksum are wrong";
    /// A time to wait that is no number.
    TIMEOUT_NOT_FLOAT = "ERR timeout is not a float or out of range";
    /// A wait that CLIENT UNBLOCK ended with an error.
    UNBLOCKED = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
    /// The key holds another type.
    WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
    /// Options that do not fit.
    SYNTAX = "ERR syntax error";
    /// Not an integer.
    NOT_INTEGER = "ERR value is not an integer or out of range";
    /// Not a float.
    NOT_FLOAT = "ERR value is not a valid float";
    /// An index outside.
    OUT_OF_RANGE = "ERR index out of range";
    /// A count that has no opposite, or a rank.
    COUNT_OUT_OF_RANGE = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    /// A count that must not be negative.
    MUST_BE_POSITIVE = "ERR value is out of range, must be positive";
    /// No such key.
    NO_SUCH_KEY = "ERR no such key";
    /// Source and target are one.
    SAME_OBJECT = "ERR source and destination objects are the same";
    /// An integer of more than 32 bits.
    NOT_32_BITS = "ERR value is out of range, value must between -2147483648 and 2147483647";
    /// A database's number outside.
    DB_INDEX = "ERR DB index is out of range";
    /// A database's number that is none.
    INVALID_DB_INDEX = "ERR invalid DB index";
    /// How many random elements, where that is no number of them.
    RANDOM_COUNT = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    /// An increment past 64 bits.
    OVERFLOW = "ERR increment or decrement would overflow";
    /// A string past `proto-max-bulk-len`.
    STRING_TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    /// Memory is used up and the command would use more.
    OOM = "OOM command not allowed when used memory > 'maxmemory'.";
    /// Snapshots fail, and writes are refused until one succeeds.
    MISCONF = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";
    /// Data are being loaded, and this command needs them.
    LOADING = "LOADING Redis is loading the dataset in memory";
    /// The client has not logged in.
    NO_AUTH = "NOAUTH Authentication required.";
    /// Wrong name or password.
    WRONG_PASS = "WRONGPASS invalid username-password pair or user is disabled.";
    /// Too many wrong passwords came from the client's address.
    TOO_MANY_LOGINS = "ERR Too many failed logins from this address, try again later";
    /// A login that takes its time, where a client may not wait.
    SLOW_LOGIN = "ERR This user's password can't be checked inside a transaction or script";
    /// AUTH with a password where none is wanted.
    NO_PASSWORD_SET = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?";
    /// HELLO of a client that has not logged in.
    HELLO_NO_AUTH = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";
    /// A protocol version that is no number.
    PROTO_NOT_INTEGER = "ERR Protocol version is not an integer or out of range";
    /// A protocol version other than 2 and 3.
    NO_PROTO = "NOPROTO unsupported protocol version";
    /// A client's name with something else than visible ASCII.
    CLIENT_NAME = "ERR Client names cannot contain spaces, newlines or special characters.";
    /// A client that does not exist.
    NO_SUCH_CLIENT = "ERR No such client";
    /// A client's number that is none.
    INVALID_CLIENT_ID = "ERR Invalid client ID";
    /// A client's number that can't be one.
    CLIENT_ID_NOT_POSITIVE = "ERR client-id should be greater than 0";
    /// An age that is no number.
    MAXAGE_NOT_INTEGER = "ERR maxage is not an integer or out of range";
    /// An age that can't be one.
    MAXAGE_NOT_POSITIVE = "ERR maxage should be greater than 0";
    /// A pause for other commands than writes or all.
    PAUSE_MODE = "ERR CLIENT PAUSE mode must be WRITE or ALL";
    /// A negative time to wait.
    TIMEOUT_NEGATIVE = "ERR timeout is negative";
    /// A time to wait that ends after the end of time.
    TIMEOUT_OUT_OF_RANGE = "ERR timeout is out of range";
    /// A reason to unblock other than the two there are.
    UNBLOCK_REASON = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR";
    /// A transaction that had a fault while it was queued.
    EXEC_ABORT = "EXECABORT Transaction discarded because of previous errors.";
    /// MULTI inside MULTI.
    NESTED_MULTI = "ERR MULTI calls can not be nested";
    /// EXEC alone.
    EXEC_WITHOUT_MULTI = "ERR EXEC without MULTI";
    /// DISCARD alone.
    DISCARD_WITHOUT_MULTI = "ERR DISCARD without MULTI";
    /// WATCH inside MULTI.
    WATCH_IN_MULTI = "ERR WATCH inside MULTI is not allowed";
    /// A command that can't be queued.
    NOT_IN_MULTI = "ERR Command not allowed inside a transaction";
    /// SSUBSCRIBE where a client may not wait.
    SSUBSCRIBE_DENIED = "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client";
    /// CLIENT TRACKING with two redirections.
    TRACKING_ONE_REDIRECT = "ERR A client can only redirect to a single other client";
    /// CLIENT TRACKING to a client that does not exist.
    TRACKING_NO_REDIRECT = "ERR The client ID you want redirect to does not exist";
    /// CLIENT TRACKING with prefixes, but not BCAST.
    TRACKING_PREFIX = "ERR PREFIX option requires BCAST mode to be enabled";
    /// CLIENT TRACKING with BCAST where it was on without, or without where it was on with it.
    TRACKING_SWITCH_BCAST = "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.";
    /// CLIENT TRACKING with OPTIN or OPTOUT where the other was on.
    TRACKING_SWITCH_OPT = "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.";
    /// CLIENT TRACKING with BCAST and OPTIN or OPTOUT.
    TRACKING_OPT_BCAST = "ERR OPTIN and OPTOUT are not compatible with BCAST";
    /// CLIENT TRACKING with OPTIN and OPTOUT.
    TRACKING_OPT_BOTH = "ERR You can't specify both OPTIN mode and OPTOUT mode";
    /// CLIENT CACHING of a client that does not cache so.
    CACHING_WITHOUT_TRACKING = "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled";
    /// CLIENT CACHING YES without OPTIN.
    CACHING_YES = "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.";
    /// CLIENT CACHING NO without OPTOUT.
    CACHING_NO = "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.";
    /// A cursor that is no number.
    INVALID_CURSOR = "ERR invalid cursor";
    /// An expiry that is no point in time.
    TIMEOUT_NOT_INTEGER = "ERR timeout is not an integer or out of range";
    /// A score range that is none.
    MIN_MAX_NOT_FLOAT = "ERR min or max is not a float";
    /// A range of members that is none.
    MIN_MAX_NOT_STRING = "ERR min or max not valid string range item";
    /// A hash value that is no integer.
    HASH_NOT_INTEGER = "ERR hash value is not an integer";
    /// A hash value that is no float.
    HASH_NOT_FLOAT = "ERR hash value is not a float";
    /// Inf or NaN by increment.
    NAN_OR_INFINITY = "ERR increment would produce NaN or Infinity";
}

impl CmdError {
    /// A fixed text, code first.
    pub const fn text(text: &'static str) -> CmdError {
        CmdError(Cow::Borrowed(text.as_bytes()))
    }

    /// A made-up text, code first.
    pub fn owned(text: impl Into<String>) -> CmdError {
        CmdError(Cow::Owned(text.into().into_bytes()))
    }

    /// A made-up text, code first, in bytes.
    pub fn bytes(text: Vec<u8>) -> CmdError {
        CmdError(Cow::Owned(text))
    }

    /// A text around a client's word. As the reference shows it: up to a NUL, not all of a long one.
    pub fn quoting(before: &str, given: &[u8], after: &str) -> CmdError {
        CmdError(Cow::Owned([before.as_bytes(), shown(given, SHOWN_BYTES), after.as_bytes()].concat()))
    }

    /// A text around a client's word, shown whole up to a NUL.
    #[cold]
    pub fn quoting_whole(before: &str, given: &[u8], after: &str) -> CmdError {
        CmdError(Cow::Owned([before.as_bytes(), shown(given, usize::MAX), after.as_bytes()].concat()))
    }

    /// A text around two of a client's words, each shown whole up to a NUL.
    #[cold]
    pub fn quoting_two(before: &str, one: &[u8], between: &str, other: &[u8], after: &str) -> CmdError {
        let (one, other) = (shown(one, usize::MAX), shown(other, usize::MAX));
        let text = [before.as_bytes(), one, between.as_bytes(), other, after.as_bytes()];
        CmdError(Cow::Owned(text.concat()))
    }

    /// A command that does not exist, with the first of its words.
    #[cold]
    pub fn unknown_command<'a>(words: impl Iterator<Item = &'a [u8]>) -> CmdError {
        let mut words = words;
        let name = shown(words.next().unwrap_or_default(), SHOWN_BYTES);
        let mut args = Vec::new();
        for word in words {
            if args.len() >= SHOWN_BYTES {
                break;
            }
            let word = shown(word, SHOWN_BYTES - args.len());
            args.extend_from_slice(&[b"'", word, b"' "].concat());
        }
        let text = [b"ERR unknown command '", name, b"', with args beginning with: ", &args];
        CmdError(Cow::Owned(text.concat()))
    }

    /// Too few or too many arguments for the command of this full name (`config|get`).
    pub fn arity(full_name: &str) -> CmdError {
        CmdError::owned(format!("ERR wrong number of arguments for '{full_name}' command"))
    }

    /// A transaction that was given up because EXEC itself was refused.
    pub fn exec_refused(reason: &CmdError) -> CmdError {
        let reason = reason.0.strip_prefix(b"ERR ").unwrap_or(&reason.0);
        CmdError(Cow::Owned([b"EXECABORT Transaction discarded because of: ", reason].concat()))
    }

    /// A subcommand with too many words. `given`: the subcommand as it was spelled.
    pub fn subcommand_syntax(given: &[u8], command: &str) -> CmdError {
        let after = format!("'. Try {} HELP.", command.to_uppercase());
        CmdError::quoting("ERR unknown subcommand or wrong number of arguments for '", given, &after)
    }

    /// An option that HELLO does not know, or one without its words.
    pub fn hello_option(given: &[u8]) -> CmdError {
        CmdError::quoting("ERR Syntax error in HELLO option '", given, "'")
    }

    /// A command that a subscriber of RESP2 may not run, by its full name.
    pub fn while_subscribed(full_name: &str) -> CmdError {
        CmdError::owned(format!(
            "ERR Can't execute '{full_name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
             context"
        ))
    }

    /// A prefix of CLIENT TRACKING that begins as another one does. `which`: `an existing` or `another provided`.
    pub fn overlapping_prefixes(prefix: &[u8], which: &str, other: &[u8]) -> CmdError {
        let parts = [
            b"ERR Prefix '",
            prefix,
            b"' overlaps with ",
            which.as_bytes(),
            b" prefix '",
            other,
            b"'. Prefixes for a single client must not overlap.",
        ];
        CmdError(Cow::Owned(parts.concat()))
    }

    /// A kind of clients that does not exist.
    pub fn unknown_client_type(given: &[u8]) -> CmdError {
        CmdError::quoting("ERR Unknown client type '", given, "'")
    }

    /// What a user may not do.
    pub fn no_permission(denial: &[u8]) -> CmdError {
        CmdError::bytes([b"NOPERM ", denial].concat())
    }

    /// A queued command that its user may not run any more. `what`: for what it was refused.
    #[cold]
    pub fn no_longer_permitted(what: What) -> CmdError {
        let reason = match what {
            What::Command => "no permission to execute the command or subcommand",
            What::Key => "no permission to touch the specified keys",
            What::Channel => "no permission to access one of the channels used as arguments to the command",
            What::Database => "no permission",
        };
        CmdError::owned(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is \
             no longer allowed for the following reason: {reason}"
        ))
    }

    /// A user has run as many commands in this second as it may.
    #[cold]
    pub fn rate_used_up(user: &[u8], rate: u32) -> CmdError {
        CmdError::bytes(
            [b"ERR User ", user, format!(" may run {rate} commands per second and has done so").as_bytes()].concat(),
        )
    }

    /// A user's connections hold too much.
    pub fn memory_used_up(user: &[u8], memory_bytes: u64) -> CmdError {
        let bytes = format!(" hold more than the {memory_bytes} bytes that it may use");
        CmdError::bytes([b"OOM The connections of user ", user, bytes.as_bytes()].concat())
    }

    /// A user that does not exist.
    pub fn no_such_user(given: &[u8]) -> CmdError {
        CmdError::quoting("ERR No such user '", given, "'")
    }

    /// An expiry that overflows or is not positive.
    pub fn invalid_expire(full_name: &str) -> CmdError {
        CmdError::owned(format!("ERR invalid expire time in '{full_name}' command"))
    }

    /// A subcommand that does not exist.
    pub fn unknown_subcommand(given: &[u8], command: &str) -> CmdError {
        CmdError::quoting("ERR unknown subcommand '", given, &format!("'. Try {} HELP.", command.to_uppercase()))
    }

    /// A subcommand that does not exist or does not take so many words.
    pub fn unknown_or_arity(given: &[u8], command: &str) -> CmdError {
        CmdError::subcommand_syntax(given, command)
    }

    /// The error line without the dash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first word: what errorstats counts.
    pub fn code(&self) -> &str {
        let word = self.0.split(|&b| b == b' ').next().unwrap_or_default();
        std::str::from_utf8(word).unwrap_or("ERR")
    }
}

/// What an error repeats of a client's word.
fn shown(given: &[u8], most: usize) -> &[u8] {
    let given = &given[..given.len().min(most)];
    &given[..memchr::memchr(0, given).unwrap_or(given.len())]
}

impl fmt::Display for CmdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl From<WrongType> for CmdError {
    #[inline]
    fn from(_: WrongType) -> CmdError {
        CmdError::WRONG_TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_the_first_word() {
        assert_eq!(CmdError::WRONG_TYPE.code(), "WRONGTYPE");
        assert_eq!(CmdError::arity("config|get").to_string(), "ERR wrong number of arguments for 'config|get' command");
        assert_eq!(
            CmdError::unknown_subcommand(b"x", "config").to_string(),
            "ERR unknown subcommand 'x'. Try CONFIG HELP."
        );
    }

    #[test]
    fn a_clients_word_is_shown_up_to_a_nul_and_not_too_long() {
        let words: [&[u8]; 3] = [b"foo", b"a\0b", &[b'x'; 500]];
        let text = CmdError::unknown_command(words.into_iter());
        let expected = format!("ERR unknown command 'foo', with args beginning with: 'a' '{}' ", "x".repeat(124));
        assert_eq!(text.to_string(), expected);
        assert_eq!(CmdError::unknown_command(std::iter::once(&b"\xff"[..])).as_bytes()[21], 0xff);
    }
}
