//! Which certificates of peers are good: those that lead to a trusted authority, and those that are trusted themselves. Names in
//! a certificate are looked at only where that is asked for: an address in the configuration is no name that anybody signed.

use super::files::Authorities;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::sync::Arc;

type Known = Vec<CertificateDer<'static>>;

/// Whether a certificate that was refused is one of those that are trusted as they are. One that signed itself is refused only
/// because it calls itself an authority; its dates were found good before that.
fn is_known(known: &Known, shown: &CertificateDer<'_>, refusal: &Error) -> bool {
    matches!(refusal, Error::InvalidCertificate(CertificateError::Other(_))) && known.iter().any(|one| one == shown)
}

/// The rule for clients: a certificate of theirs is wanted, or (if `optional`) checked when there is one.
pub(super) fn clients(
    trusted: Authorities,
    provider: Arc<CryptoProvider>,
    optional: bool,
) -> Result<Arc<dyn ClientCertVerifier>, rustls::server::VerifierBuilderError> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(trusted.roots), provider);
    // The list of all authorities is of no use to a client, and long.
    let builder = builder.clear_root_hint_subjects();
    let rule = if optional { builder.allow_unauthenticated() } else { builder }.build()?;
    Ok(Arc::new(Clients { rule, known: trusted.known }))
}

#[derive(Debug)]
struct Clients {
    rule: Arc<dyn ClientCertVerifier>,
    known: Known,
}

impl ClientCertVerifier for Clients {
    fn offer_client_auth(&self) -> bool {
        self.rule.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.rule.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.rule.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.rule.verify_client_cert(end_entity, intermediates, now) {
            Err(refusal) if is_known(&self.known, end_entity, &refusal) => Ok(ClientCertVerified::assertion()),
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.rule.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.rule.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.rule.supported_verify_schemes()
    }
}

/// The rule for servers that we connect to; without authorities any certificate is taken.
pub(super) fn servers(
    trusted: Option<Authorities>,
    provider: Arc<CryptoProvider>,
    names_count: bool,
) -> Result<Arc<dyn ServerCertVerifier>, rustls::server::VerifierBuilderError> {
    let algorithms = provider.signature_verification_algorithms;
    let Some(trusted) = trusted else {
        return Ok(Arc::new(Servers { rule: None, known: Vec::new(), names_count, algorithms }));
    };
    let rule = WebPkiServerVerifier::builder_with_provider(Arc::new(trusted.roots), provider).build()?;
    Ok(Arc::new(Servers { rule: Some(rule), known: trusted.known, names_count, algorithms }))
}

#[derive(Debug)]
struct Servers {
    rule: Option<Arc<WebPkiServerVerifier>>,
    known: Known,
    names_count: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(rule) = &self.rule else { return Ok(ServerCertVerified::assertion()) };
        match rule.verify_server_cert(end_entity, intermediates, name, ocsp_response, now) {
            // The name is looked at last: all else was good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.names_count => Ok(ServerCertVerified::assertion()),
            Err(refusal) if is_known(&self.known, end_entity, &refusal) => Ok(ServerCertVerified::assertion()),
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
