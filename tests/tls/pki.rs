//! Certificates of a test, and a client that uses them. Knows no command.

use super::support::client::Client;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SerialNumber,
};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Longest silence of a connection.
const SILENCE: Duration = Duration::from_secs(20);

/// An authority, and what it has signed, as files of a folder.
pub struct Pki {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    /// Files `ca.crt`, `server.crt`, `server.key`, `client.crt`, `client.key`.
    pub fn new(folder: &Path) -> Pki {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        let certificate = params.self_signed(&key).expect("signed");
        fs::create_dir_all(folder).expect("a folder");
        fs::write(folder.join("ca.crt"), certificate.pem()).expect("written");
        let pki = Pki { folder: folder.to_owned(), issuer: Issuer::new(params, key) };
        pki.sign("server", 1);
        pki.sign("client", 2);
        pki
    }

    /// A new certificate and key under a name; the names of files that are there are taken over at once.
    pub fn sign(&self, name: &str, serial: u64) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(serial));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        for (end, text) in [("crt", certificate.pem()), ("key", key.serialize_pem())] {
            let new = self.folder.join(format!("{name}.new"));
            fs::write(&new, text).expect("written");
            fs::rename(new, self.folder.join(format!("{name}.{end}"))).expect("renamed");
        }
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().expect("text").to_owned()
    }

    /// Flags of a server: TLS on this port, with these files.
    pub fn flags(&self, port: u16) -> Vec<String> {
        let words = |name: &str, value: String| [format!("--{name}"), value];
        [
            words("tls-port", port.to_string()),
            words("tls-cert-file", self.path("server.crt")),
            words("tls-key-file", self.path("server.key")),
            words("tls-ca-cert-file", self.path("ca.crt")),
        ]
        .concat()
    }
}

/// How a client comes.
#[derive(Clone)]
pub struct Visitor {
    pub host: IpAddr,
    pub port: u16,
    pub config: Arc<ClientConfig>,
}

const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

impl Visitor {
    /// One that shows the certificate of this name, if any, and trusts anybody.
    pub fn new(port: u16, shows: Option<(&Pki, &str)>) -> Visitor {
        Visitor::with(port, shows, aws_lc_rs::default_provider(), BOTH)
    }

    pub fn with(
        port: u16,
        shows: Option<(&Pki, &str)>,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Visitor {
        let provider = Arc::new(provider);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(versions).expect("versions");
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)));
        let mut config = match shows {
            Some((pki, name)) => {
                let chain = CertificateDer::pem_file_iter(pki.path(&format!("{name}.crt"))).expect("a file");
                let key = PrivateKeyDer::from_pem_file(pki.path(&format!("{name}.key"))).expect("a key");
                builder.with_client_auth_cert(chain.map(|c| c.expect("sound")).collect(), key).expect("they fit")
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(8);
        Visitor { host: Ipv4Addr::LOCALHOST.into(), port, config: Arc::new(config) }
    }

    pub fn socket(&self) -> TcpStream {
        let stream = TcpStream::connect((self.host, self.port)).expect("the port is open");
        stream.set_nodelay(true).expect("an option");
        stream.set_read_timeout(Some(SILENCE)).expect("an option");
        stream.set_write_timeout(Some(SILENCE)).expect("an option");
        stream
    }

    /// The handshake over a new connection.
    pub fn stream(&self) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = ServerName::try_from("localhost").expect("a name");
        let mut session = ClientConnection::new(Arc::clone(&self.config), name).expect("a session");
        let mut stream = self.socket();
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(session, stream))
    }

    pub fn client(&self) -> io::Result<Client> {
        let stream = self.stream()?;
        Ok(Client::through(stream.sock.try_clone()?, Box::new(stream)))
    }

    /// Whether it is let in: with TLS 1.3 a client hears only after its own part that it was refused.
    pub fn is_let_in(&self) -> bool {
        self.client().and_then(|mut client| client.call(&["PING"])).is_ok_and(|reply| reply.string() == "PONG")
    }
}

/// Takes any certificate: what is tested is the server.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
