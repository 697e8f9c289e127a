//! TLS with certificates on both sides: an agent proves which real server it is, by the addresses
//! in its certificate, and a director that it is the one whose keys are wanted.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use adminapi::certificate::Shown;
use adminapi::kept::Kept;
use adminapi::serve::bad_pem;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, ClientConfig, RootCertStore, ServerConfig};

/// What of a side is in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its certificate, with those that lead to the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority that has signed the certificates of the other side.
    pub authority: PathBuf,
}

/// Why a side has no identity.
#[derive(Debug, thiserror::Error)]
enum TlsError {
    /// A file.
    #[error("cannot use {file}: {why}; it has to be PEM")]
    File {
        /// Which.
        file: PathBuf,
        /// Why not.
        why: String,
    },
    /// What they say together.
    #[error("certificate and key do not go together: {0}")]
    Mismatch(rustls::Error),
}

fn file(file: &Path, why: impl ToString) -> TlsError {
    TlsError::File {
        file: file.to_owned(),
        why: why.to_string(),
    }
}

impl Identity {
    fn files(&self) -> Vec<PathBuf> {
        [&self.certificate, &self.key, &self.authority]
            .map(PathBuf::clone)
            .into()
    }

    fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        let certificates: Vec<_> = read.map_err(|error| file(path, bad_pem(&error)))?;
        match certificates.is_empty() {
            true => Err(file(path, "there is no certificate in it")),
            false => Ok(certificates),
        }
    }

    fn own(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let key = PrivateKeyDer::from_pem_file(&self.key);
        let key = key.map_err(|error| file(&self.key, bad_pem(&error)))?;
        Ok((Self::certificates(&self.certificate)?, key))
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in Self::certificates(&self.authority)? {
            let added = roots.add(certificate);
            added.map_err(|error| file(&self.authority, error))?;
        }
        Ok(Arc::new(roots))
    }
}

/// What `read` makes of the files of `identity`, now and whenever they change.
fn keep<T: Send + Sync + 'static>(
    identity: &Identity,
    read: fn(&Identity) -> Result<Shown<T>, TlsError>,
) -> Result<Arc<Kept<Shown<T>>>, String> {
    let (files, identity) = (identity.files(), identity.clone());
    let read = move || read(&identity).map_err(|error| error.to_string());
    Kept::shown("certificates between director and agent", files, read)
}

/// The director's side, as its files have it now and whenever they change.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn keep_server(identity: &Identity) -> Result<Arc<Kept<Shown<ServerConfig>>>, String> {
    keep(identity, server)
}

/// An agent's side, likewise.
///
/// # Errors
/// What is wrong with its files.
pub(crate) fn keep_client(identity: &Identity) -> Result<Arc<Kept<Shown<ClientConfig>>>, String> {
    keep(identity, client)
}

fn verifier(identity: &Identity) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(identity.roots()?, provider);
    let verifier = verifier.build();
    verifier.map_err(|error| file(&identity.authority, error))
}

/// Judges the certificates of an agent that was let in, its own first, by the authority that the file has
/// now. One that has merely expired since keeps nobody out before he comes again.
///
/// # Errors
/// Why it would not be let in.
pub(crate) fn judge_again(identity: &Identity, chain: &[CertificateDer<'_>]) -> Result<(), String> {
    let verifier = verifier(identity).map_err(|error| error.to_string())?;
    let (own, between) = chain.split_first().ok_or("it has no certificate")?;
    match verifier.verify_client_cert(own, between, UnixTime::now()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// The director's side.
fn server(identity: &Identity) -> Result<Shown<ServerConfig>, TlsError> {
    let (certificates, key) = identity.own()?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Mismatch)?
        .with_client_cert_verifier(verifier(identity)?)
        .with_single_cert(certificates.clone(), key)
        .map_err(TlsError::Mismatch)?;
    let file = identity.certificate.clone();
    Ok(Shown::new(config, file, &certificates))
}

/// An agent's side.
fn client(identity: &Identity) -> Result<Shown<ClientConfig>, TlsError> {
    let (certificates, key) = identity.own()?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Mismatch)?
        .with_root_certificates(identity.roots()?)
        .with_client_auth_cert(certificates.clone(), key)
        .map_err(TlsError::Mismatch)?;
    let file = identity.certificate.clone();
    Ok(Shown::new(config, file, &certificates))
}

/// Whether `certificate` names the address `addr`.
pub(crate) fn is_for(certificate: &CertificateDer<'_>, addr: IpAddr) -> bool {
    let name = ServerName::IpAddress(addr.into());
    webpki::EndEntityCert::try_from(certificate)
        .is_ok_and(|certificate| certificate.verify_is_valid_for_subject_name(&name).is_ok())
}
