//! TLS to a real server, with its certificate verified or not.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use adminapi::model::Check;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::switchboard::Call;
use crate::health::Words;

/// How TLS is spoken.
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// As `check` says; one of `protocols` is spoken within (ALPN).
    pub(super) fn new(check: &Check, to: SocketAddr, protocols: &[&[u8]]) -> Result<Self, Words> {
        let provider = Arc::new(ring::default_provider());
        let verifier = match check.verify {
            Some(false) => Arc::new(Anyone(Arc::clone(&provider))),
            _ => strict(check, &provider)?,
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Words::from(error.to_string()))?;
        let mut config = config
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        // A session that goes on would not show a certificate that has run out.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self {
            connector: Arc::new(config).into(),
            name: name(check, to)?,
        })
    }

    /// TLS over a new connection.
    pub(super) async fn over(&self, call: Call) -> io::Result<TlsStream<Call>> {
        self.connector.connect(self.name.clone(), call).await
    }
}

/// The name that a certificate has to bear: the host that is asked for without a port, or the
/// address.
fn name(check: &Check, to: SocketAddr) -> Result<ServerName<'static>, Words> {
    let Some(host) = check.host.as_deref() else {
        return Ok(to.ip().into());
    };
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.contains(':') => {
            name
        }
        _ => host,
    };
    let name = ServerName::try_from(without_port.to_owned());
    name.map_err(|_| format!("{without_port:?} is no name of a TLS server").into())
}

fn strict(
    check: &Check,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Words> {
    let roots = match &check.ca {
        Some(file) => Arc::new(read(file)?),
        None => of_this_host(),
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
    match verifier {
        Ok(verifier) => Ok(verifier),
        Err(error) => Err(format!("no authorities to verify against: {error}").into()),
    }
}

fn read(file: &str) -> Result<RootCertStore, Words> {
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| Words::from(format!("{file}: {error}")))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    Ok(roots)
}

/// The authorities of this host, read once.
fn of_this_host() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    };
    Arc::clone(ROOTS.get_or_init(read))
}

/// Takes any certificate whose holder has its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
