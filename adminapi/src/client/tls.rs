//! TLS towards a director: whom the client believes, and how it shows who it is.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Address, ClientError};
use crate::serve::{certificates, private_key, roots};

/// Whom a client believes, and how it shows who it is. By default it believes what the system
/// does, and shows nothing. The files are PEM, and read for each connection.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Who signs the director's certificate, in the place of those that the system believes.
    pub ca: Option<PathBuf>,
    /// The client's certificate and its key, for a director that wants to see one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Trust {
    /// Speaks TLS on `stream` with the director at `host`.
    pub(super) async fn secure(
        &self,
        stream: TcpStream,
        address: &Address,
        host: &str,
    ) -> Result<TlsStream<TcpStream>, ClientError> {
        let config = self.config().map_err(ClientError::BadTrust)?;
        let failed = |why: String| ClientError::Tls {
            address: address.clone(),
            why,
        };
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| failed(error.to_string()))?;
        let connector = TlsConnector::from(Arc::new(config));
        let secured = connector.connect(name, stream).await;
        secured.map_err(|error| failed(explain(&error).unwrap_or_else(|| error.to_string())))
    }

    fn config(&self) -> Result<ClientConfig, String> {
        let roots = match &self.ca {
            Some(path) => roots(path)?,
            None => system_roots()?,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        match &self.identity {
            None => Ok(config.with_no_client_auth()),
            Some((certificate, key)) => config
                .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
                .map_err(|error| format!("{}: {error}", key.display())),
        }
    }
}

fn system_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match roots.is_empty() {
        true => Err("this system believes no certificate; name one with --ca".to_owned()),
        false => Ok(roots),
    }
}

/// What is wrong with TLS, and what to do; none when it is something else.
pub(super) fn explain(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?.downcast_ref::<Error>()?;
    let mend = match inner {
        Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => "name who signed its certificate with --ca or BULWARK_CA",
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "use a name or address that its certificate has",
        Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => "give the director a new one (`[api.tls]`), or set the clock of this host",
        Error::AlertReceived(AlertDescription::CertificateExpired) => {
            "make a new certificate for BULWARK_CERTIFICATE"
        }
        Error::InvalidMessage(_) => "it does not speak TLS; try http://",
        Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::DecryptError,
        ) => "it wants a certificate that it knows: BULWARK_CERTIFICATE and BULWARK_KEY",
        _ => return Some(inner.to_string()),
    };
    Some(format!("{inner}; {mend}"))
}
