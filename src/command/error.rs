//! The one place that spells reply errors. A client's mistake is a `CmdError`; it becomes one error line.

use crate::keyspace::WrongType;
use std::borrow::Cow;
use std::fmt;

/// Why a command was refused. Its text is the error line without the dash, code first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CmdError(Cow<'static, str>);

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl CmdError { $($(#[$doc])* pub const $name: CmdError = CmdError(Cow::Borrowed($text));)* }
    };
}

texts! {
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
    /// A database's number outside.
    DB_INDEX = "ERR DB index is out of range";
    /// A database's number that is none.
    INVALID_DB_INDEX = "ERR invalid DB index";
    /// An increment past 64 bits.
    OVERFLOW = "ERR increment or decrement would overflow";
    /// A string past `proto-max-bulk-len`.
    STRING_TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    /// Memory is used up and the command would use more.
    OOM = "OOM command not allowed when used memory > 'maxmemory'.";
    /// The client has not logged in.
    NO_AUTH = "NOAUTH Authentication required.";
    /// Wrong name or password.
    WRONG_PASS = "WRONGPASS invalid username-password pair or user is disabled.";
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
        CmdError(Cow::Borrowed(text))
    }

    /// A made-up text, code first.
    pub fn owned(text: impl Into<String>) -> CmdError {
        CmdError(Cow::Owned(text.into()))
    }

    /// Too few or too many arguments for the command of this full name (`config|get`).
    pub fn arity(full_name: &str) -> CmdError {
        CmdError::owned(format!("ERR wrong number of arguments for '{full_name}' command"))
    }

    /// A transaction that was given up because EXEC itself was refused.
    pub fn exec_refused(reason: &CmdError) -> CmdError {
        let reason = reason.as_str();
        let reason = reason.strip_prefix("ERR ").unwrap_or(reason);
        CmdError::owned(format!("EXECABORT Transaction discarded because of: {reason}"))
    }

    /// A subcommand with too many words. `given`: the subcommand as it was spelled.
    pub fn subcommand_syntax(given: &[u8], command: &str) -> CmdError {
        let given = String::from_utf8_lossy(&given[..given.len().min(128)]).into_owned();
        CmdError::owned(format!(
            "ERR unknown subcommand or wrong number of arguments for '{given}'. Try {} HELP.",
            command.to_uppercase()
        ))
    }

    /// An option that HELLO does not know, or one without its words.
    pub fn hello_option(given: &[u8]) -> CmdError {
        CmdError::owned(format!("ERR Syntax error in HELLO option '{}'", String::from_utf8_lossy(given)))
    }

    /// A kind of clients that does not exist.
    pub fn unknown_client_type(given: &[u8]) -> CmdError {
        CmdError::owned(format!("ERR Unknown client type '{}'", String::from_utf8_lossy(given)))
    }

    /// A user that does not exist.
    pub fn no_such_user(given: &[u8]) -> CmdError {
        CmdError::owned(format!("ERR No such user '{}'", String::from_utf8_lossy(given)))
    }

    /// An expiry that overflows or is not positive.
    pub fn invalid_expire(full_name: &str) -> CmdError {
        CmdError::owned(format!("ERR invalid expire time in '{full_name}' command"))
    }

    /// A subcommand that does not exist.
    pub fn unknown_subcommand(given: &[u8], command: &str) -> CmdError {
        let given = String::from_utf8_lossy(&given[..given.len().min(128)]).into_owned();
        CmdError::owned(format!("ERR unknown subcommand '{given}'. Try {} HELP.", command.to_uppercase()))
    }

    /// A subcommand that does not exist or does not take so many words.
    pub fn unknown_or_arity(given: &[u8], command: &str) -> CmdError {
        let given = String::from_utf8_lossy(&given[..given.len().min(128)]).into_owned();
        let command = command.to_uppercase();
        CmdError::owned(format!(
            "ERR unknown subcommand or wrong number of arguments for '{given}'. Try {command} HELP."
        ))
    }

    /// The error line without the dash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first word: what errorstats counts.
    pub fn code(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }
}

impl fmt::Display for CmdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
        assert_eq!(CmdError::arity("config|get").as_str(), "ERR wrong number of arguments for 'config|get' command");
        assert_eq!(
            CmdError::unknown_subcommand(b"x", "config").as_str(),
            "ERR unknown subcommand 'x'. Try CONFIG HELP."
        );
    }
}
