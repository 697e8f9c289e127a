//! TLS at a listener: its certificate, and whose certificates it wants to see.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde::Deserialize;

use crate::auth::private_text;
use crate::certificate::Shown;
use crate::kept::Kept;

/// The files of a listener that speaks TLS, all of them PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Its certificate, and those that lead to a root.
    pub certificate: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
    /// Who signs the certificates that clients show; without it they are not asked for one.
    pub client_ca: Option<PathBuf>,
    /// Whether they have to show one then.
    pub client_certificates: ClientCertificates,
}

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// Those without one are let in as well; one that is shown has to be good.
    Optional,
    /// Those without one are not let in.
    #[default]
    Required,
}

impl ClientCertificates {
    /// What the configuration calls them.
    pub const WORDS: &[&str] = &["optional", "required"];
}

impl TlsFiles {
    /// What they say, now and whenever they change.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn keep(self) -> Result<Arc<Kept<Shown<ServerConfig>>>, String> {
        let mut files = vec![self.certificate.clone(), self.key.clone()];
        files.extend(self.client_ca.clone());
        Kept::shown("TLS certificates", files, move || self.read())
    }

    fn read(&self) -> Result<Shown<ServerConfig>, String> {
        let chain = certificates(&self.certificate)?;
        let key = private_key(&self.key)?;
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let config = config
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let config = match &self.client_ca {
            None => config.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(roots(path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = match self.client_certificates {
                    ClientCertificates::Optional => verifier.allow_unauthenticated(),
                    ClientCertificates::Required => verifier,
                };
                let verifier = verifier.build().map_err(|error| of(path, error))?;
                config.with_client_cert_verifier(verifier)
            }
        };
        let mut config = config
            .with_single_cert(chain.clone(), key)
            .map_err(|error| format!("{}: {error}", self.key.display()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Shown::new(config, self.certificate.clone(), &chain))
    }
}

/// The roots in a file.
pub(crate) fn roots(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| of(path, error))?;
    }
    Ok(roots)
}

/// The certificates in a file, at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let file = File::open(path).map_err(|error| of(path, error))?;
    let read = CertificateDer::pem_reader_iter(file).collect::<Result<Vec<_>, _>>();
    let found = read.map_err(|error| of(path, bad_pem(&error)))?;
    match found.is_empty() {
        true => Err(format!("{}: there is no certificate in it", path.display())),
        false => Ok(found),
    }
}

/// The key in a file, which not everybody may read.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = private_text(path).map_err(|why| of(path, why))?;
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound => format!("{}: there is no key in it", path.display()),
        error => of(path, bad_pem(&error)),
    })
}

/// What is wrong with a PEM file. The error itself may quote a line of it, and a key whose lines have
/// become one is such a line.
pub fn bad_pem(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "there is nothing of the kind in it".to_owned(),
        pem::Error::MissingSectionEnd { .. } => {
            "a section has no -----END line of its own; are all lines one?".to_owned()
        }
        pem::Error::IllegalSectionStart { .. } => {
            "a line of -----BEGIN has more, or less, in it; are all lines one?".to_owned()
        }
        pem::Error::Base64Decode(_) => "what is between BEGIN and END is no base64".to_owned(),
        _ => "is no PEM".to_owned(),
    }
}

fn of(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

/// Why a handshake failed, in the words of the log.
pub(super) fn is_worth_a_line(error: &io::Error) -> bool {
    // Whoever only looks whether the port is open leaves at once.
    error.kind() != io::ErrorKind::UnexpectedEof && error.kind() != io::ErrorKind::ConnectionReset
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::auth::Tokens;

    #[test]
    fn what_is_wrong_with_a_key_does_not_tell_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let [begin, end] = ["BEGIN", "END"].map(|word| format!("-----{word} PRIVATE KEY-----"));
        for (text, want) in [
            (format!("{begin} SECRET\n{end}\n"), "are all lines one?"),
            (format!("{begin} SECRET {end}\n"), "are all lines one?"),
            (format!("{begin}\nSECRET"), "no -----END"),
            (format!("{begin}\nSECRET!\n{end}\n"), "no base64"),
        ] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
            let why = private_key(&path).unwrap_err();
            assert!(why.contains(want), "{why}");
            let secret = format!("{:?}", b"SECRET");
            let secret = secret.trim_matches(['[', ']']);
            assert!(!why.contains("SECRET") && !why.contains(secret), "{why}");
        }
    }

    /// A director that waits for somebody to write there takes no signal any more.
    #[test]
    fn nobody_waits_for_what_comes_out_of_a_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let mut make = Command::new("mkfifo");
        let made = make.args(["-m", "600"]).arg(&path).status();
        assert!(made.unwrap().success());
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let files = TlsFiles {
                certificate: path.clone(),
                key: path.clone(),
                client_ca: None,
                client_certificates: ClientCertificates::default(),
            };
            let why = [
                files.keep().unwrap_err(),
                private_key(&path).unwrap_err(),
                Tokens::load(&path).unwrap_err().to_string(),
            ];
            tell.send(why)
        });
        let why = told.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(
            why.iter().all(|why| why.ends_with("pipe: is no file")),
            "{why:?}"
        );
    }
}
