//! From the options to what a connection needs: one side for clients that come, one for servers that we go to.

use super::choice;
use super::files::{Authorities, Named, Stamps, TlsError};
use super::sessions::Sessions;
use super::verify;
use crate::config::{Config, Text, TlsAuthClients};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, UnbufferedServerConnection, WebPkiClientVerifier};
use rustls::{ClientConfig, ClientConnection, ServerConfig, StreamOwned, SupportedProtocolVersion};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What clients that come are met with.
#[derive(Clone, Debug)]
pub struct ServerSide(Arc<ServerConfig>);

/// What servers that we go to are met with.
#[derive(Clone, Debug)]
pub struct ClientSide(Arc<ClientConfig>);

/// Everything that the options say of TLS, ready for use.
#[derive(Debug)]
pub struct Setup {
    /// For `tls-port`.
    pub server: ServerSide,
    /// For links to other servers, if the options want them to use TLS.
    pub client: Option<ClientSide>,
    /// How the files looked.
    stamps: Stamps,
}

/// A certificate with its key, by their files.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    /// The certificate, and those that lead to its authority.
    pub certificate: (&'static str, &'a Path),
    /// Its private key.
    pub key: (&'static str, &'a Path),
    /// The key's pass phrase; empty for none.
    pub pass: &'a [u8],
}

/// Whom to trust.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trust<'a> {
    /// Option and path of a file of authorities.
    pub file: Option<(&'static str, &'a Path)>,
    /// Option and path of a folder of them.
    pub folder: Option<(&'static str, &'a Path)>,
    /// Any certificate will do.
    pub anybody: bool,
    /// The name of the host must stand in the certificate.
    pub names_count: bool,
}

fn named<'a>((option, path): (&'static str, &'a Path)) -> Named<'a> {
    Named { option, path }
}

/// An option's path, if it is set.
fn set<'a>(option: &'static str, path: &'a Text) -> Option<(&'static str, &'a Path)> {
    (!path.is_empty()).then(|| (option, path.path()))
}

impl Credentials<'_> {
    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        Ok((named(self.certificate).certificates()?, named(self.key).key(self.pass)?))
    }
}

impl Trust<'_> {
    fn is_given(&self) -> bool {
        self.file.is_some() || self.folder.is_some()
    }

    fn read(&self) -> Result<Authorities, TlsError> {
        let mut authorities = Authorities::none();
        if let Some(file) = self.file {
            authorities.add_file(named(file))?;
        }
        if let Some(folder) = self.folder {
            authorities.add_folder(named(folder))?;
        }
        Ok(authorities)
    }
}

fn refused(option: &'static str, error: rustls::server::VerifierBuilderError) -> TlsError {
    TlsError::Value { option, what: error.to_string() }
}

/// Cryptography and versions, as the options choose them.
struct Choice {
    provider: Arc<CryptoProvider>,
    versions: Vec<&'static SupportedProtocolVersion>,
}

impl Choice {
    fn of(protocols: &[u8], ciphers: &[u8], ciphersuites: &[u8]) -> Result<Choice, TlsError> {
        Ok(Choice { provider: choice::provider(ciphers, ciphersuites)?, versions: choice::versions(protocols)? })
    }
}

impl ServerSide {
    fn build(config: &Config, trust: &Trust<'_>, credentials: &Credentials<'_>) -> Result<ServerSide, TlsError> {
        let choice = Choice::of(&config.tls_protocols, &config.tls_ciphers, &config.tls_ciphersuites)?;
        let clients = match config.tls_auth_clients {
            TlsAuthClients::No => WebPkiClientVerifier::no_client_auth(),
            wanted => {
                let optional = wanted == TlsAuthClients::Optional;
                verify::clients(trust.read()?, Arc::clone(&choice.provider), optional)
                    .map_err(|error| refused("tls-ca-cert-file", error))?
            }
        };
        let (chain, key) = credentials.read()?;
        let builder = ServerConfig::builder_with_provider(choice.provider);
        let builder = builder.with_protocol_versions(&choice.versions).map_err(TlsError::Refused)?;
        let built = builder.with_client_cert_verifier(clients).with_single_cert(chain, key);
        let mut built = built.map_err(TlsError::Refused)?;
        built.ignore_client_order = config.tls_prefer_server_ciphers;
        if config.tls_session_caching {
            let (most, lifetime_secs) = (config.tls_session_cache_size, config.tls_session_cache_timeout);
            built.session_storage = Arc::new(Sessions::new(most, lifetime_secs));
            // A client that comes again uses one, and is given the next.
            built.send_tls13_tickets = 1;
        } else {
            built.session_storage = Arc::new(NoServerSessionStorage {});
            built.send_tls13_tickets = 0;
        }
        Ok(ServerSide(Arc::new(built)))
    }

    /// The server's side of a new session.
    ///
    /// # Errors
    /// The library's.
    pub fn accept(&self) -> Result<UnbufferedServerConnection, rustls::Error> {
        UnbufferedServerConnection::new(Arc::clone(&self.0))
    }
}

impl ClientSide {
    /// For a program that connects: whom it trusts, what it shows, and the options' texts of protocols, ciphers and suites.
    ///
    /// # Errors
    /// A file that can't be read, or a text that names nothing known.
    pub fn new(
        trust: &Trust<'_>,
        credentials: Option<&Credentials<'_>>,
        [protocols, ciphers, ciphersuites]: [&[u8]; 3],
    ) -> Result<ClientSide, TlsError> {
        let choice = Choice::of(protocols, ciphers, ciphersuites)?;
        let authorities = if trust.anybody { None } else { Some(trust.read()?) };
        let servers = verify::servers(authorities, Arc::clone(&choice.provider), trust.names_count)
            .map_err(|error| refused("the trusted authorities", error))?;
        let builder = ClientConfig::builder_with_provider(choice.provider);
        let builder = builder.with_protocol_versions(&choice.versions).map_err(TlsError::Refused)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(servers);
        let built = match credentials {
            Some(credentials) => {
                let (chain, key) = credentials.read()?;
                builder.with_client_auth_cert(chain, key).map_err(TlsError::Refused)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(ClientSide(Arc::new(built)))
    }

    /// A session over a connection that is there, which may block. `name` is the host's, or its address.
    ///
    /// # Errors
    /// The handshake failed.
    pub fn connect(&self, name: &str, mut stream: TcpStream) -> io::Result<Link> {
        let name = ServerName::try_from(name.to_owned()).or_else(|_| ServerName::try_from("localhost"));
        let name = name.map_err(io::Error::other)?;
        let mut session = ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Link::Tls(Box::new(StreamOwned::new(session, stream))))
    }
}

/// A connection to another server that may block, with TLS or without.
#[derive(Debug)]
pub enum Link {
    /// Without.
    Clear(TcpStream),
    /// With.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Link {
    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Link::Clear(tcp) => tcp,
            Link::Tls(tls) => &tls.sock,
        }
    }
}

impl Read for Link {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Link::Clear(tcp) => tcp.read(room),
            Link::Tls(tls) => tls.read(room),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Link::Clear(tcp) => tcp.write(bytes),
            Link::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Link::Clear(tcp) => tcp.flush(),
            Link::Tls(tls) => tls.flush(),
        }
    }
}

impl Setup {
    /// What the options say; nothing when no option wants TLS.
    ///
    /// # Errors
    /// Which option can't be honoured, and why.
    pub fn load(config: &Config) -> Result<Option<Setup>, TlsError> {
        let goes_out = config.tls_replication || config.tls_cluster;
        if config.tls_port == 0 && !goes_out {
            return Ok(None);
        }
        let stamps = Stamps::of(paths(config));
        let certificate = set("tls-cert-file", &config.tls_cert_file);
        let certificate = certificate.ok_or(TlsError::Missing("No tls-cert-file configured!"))?;
        let key = set("tls-key-file", &config.tls_key_file);
        let key = key.ok_or(TlsError::Missing("No tls-key-file configured!"))?;
        let credentials = Credentials { certificate, key, pass: &config.tls_key_file_pass };
        let trust = Trust {
            file: set("tls-ca-cert-file", &config.tls_ca_cert_file),
            folder: set("tls-ca-cert-dir", &config.tls_ca_cert_dir),
            ..Trust::default()
        };
        if !trust.is_given() && (goes_out || config.tls_auth_clients != TlsAuthClients::No) {
            return Err(TlsError::Missing(
                "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or \
                 tls-auth-clients are enabled!",
            ));
        }
        let server = ServerSide::build(config, &trust, &credentials)?;
        let client = if goes_out { Some(outgoing(config, &trust, &credentials)?) } else { None };
        Ok(Some(Setup { server, client, stamps }))
    }

    /// Whether a file has changed since they were read. Answers true once for each change.
    pub fn is_renewed(&mut self) -> bool {
        let now = self.stamps.again();
        let renewed = now != self.stamps;
        self.stamps = now;
        renewed
    }
}

/// All files and folders that the options name.
fn paths(config: &Config) -> impl Iterator<Item = PathBuf> {
    let texts = [
        &config.tls_cert_file,
        &config.tls_key_file,
        &config.tls_client_cert_file,
        &config.tls_client_key_file,
        &config.tls_ca_cert_file,
        &config.tls_ca_cert_dir,
    ];
    let set = texts.into_iter().filter(|text| !text.is_empty());
    set.map(|text| text.path().to_owned()).collect::<Vec<_>>().into_iter()
}

/// Towards other servers we show the certificate that is meant for it, or else the server's own.
fn outgoing(config: &Config, trust: &Trust<'_>, own: &Credentials<'_>) -> Result<ClientSide, TlsError> {
    let credentials = match set("tls-client-cert-file", &config.tls_client_cert_file) {
        Some(certificate) => {
            let key = set("tls-client-key-file", &config.tls_client_key_file);
            let key = key.ok_or(TlsError::Missing("tls-client-cert-file is set, and tls-client-key-file is not"))?;
            Credentials { certificate, key, pass: &config.tls_client_key_file_pass }
        }
        None => *own,
    };
    let choices = [&config.tls_protocols[..], &config.tls_ciphers[..], &config.tls_ciphersuites[..]];
    ClientSide::new(trust, Some(&credentials), choices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use std::fs;

    /// Options of a server whose certificate and key lie in `dir`.
    fn options(dir: &Path) -> Config {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        fs::write(dir.join("cert"), cert.pem()).expect("written");
        fs::write(dir.join("key"), signing_key.serialize_pem()).expect("written");
        let text = |name: &str| Text::from(dir.join(name).to_str().expect("text"));
        Config {
            tls_port: 1,
            tls_cert_file: text("cert"),
            tls_key_file: text("key"),
            tls_ca_cert_file: text("cert"),
            ..Config::default()
        }
    }

    fn fault(config: &Config) -> String {
        Setup::load(config).expect_err("something is wrong").to_string()
    }

    #[test]
    fn nothing_is_read_when_no_option_wants_tls() {
        let config = Config { tls_cert_file: "/nothing/there".into(), ..Config::default() };
        assert!(Setup::load(&config).expect("no use of TLS").is_none());
    }

    #[test]
    fn each_fault_names_its_option() {
        let dir = tempfile::tempdir().expect("a folder");
        let good = options(dir.path());
        assert!(Setup::load(&good).expect("good").expect("wanted").client.is_none());
        let with = |change: fn(&mut Config)| {
            let mut config = good.clone();
            change(&mut config);
            config
        };
        assert_eq!(fault(&with(|c| c.tls_cert_file = "".into())), "No tls-cert-file configured!");
        assert_eq!(fault(&with(|c| c.tls_key_file = "".into())), "No tls-key-file configured!");
        assert!(fault(&with(|c| c.tls_ca_cert_file = "".into())).starts_with("Either tls-ca-cert-file or"));
        assert_eq!(
            fault(&with(|c| c.tls_cert_file = "/nothing/there".into())),
            "tls-cert-file '/nothing/there': No such file or directory"
        );
        let swapped = with(|c| std::mem::swap(&mut c.tls_cert_file, &mut c.tls_key_file));
        assert!(fault(&swapped).ends_with("holds no certificate in PEM form"), "{}", fault(&swapped));
        assert!(fault(&with(|c| c.tls_protocols = "TLSv9".into())).starts_with("tls-protocols: Invalid"));
        let other = tempfile::tempdir().expect("a folder");
        let stranger = options(other.path());
        let mixed = Config { tls_key_file: stranger.tls_key_file, ..good.clone() };
        assert_eq!(fault(&mixed), "the key in tls-key-file does not belong to the certificate in tls-cert-file");
        let out = with(|c| {
            c.tls_cluster = true;
            c.tls_client_cert_file = c.tls_cert_file.clone();
        });
        assert!(fault(&out).contains("tls-client-key-file is not"));
        assert!(Setup::load(&with(|c| c.tls_replication = true)).expect("good").expect("wanted").client.is_some());
    }

    #[test]
    fn a_renewed_file_is_noticed_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let config = options(dir.path());
        let mut setup = Setup::load(&config).expect("good").expect("wanted");
        assert!(!setup.is_renewed());
        options(dir.path());
        fs::write(dir.path().join("more"), "not named by an option").expect("written");
        fs::File::options().append(true).open(dir.path().join("key")).expect("there").set_len(10).expect("cut");
        assert!(setup.is_renewed() && !setup.is_renewed());
    }
}
