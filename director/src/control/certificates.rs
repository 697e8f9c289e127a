//! The certificates by which the director shows who it is.

use std::sync::Arc;

use adminapi::certificate::Shown;
use adminapi::kept::Kept;
use adminapi::model::CertificateStatus;
use rustls::ServerConfig;

use super::Director;

/// One of them.
pub struct Certificate {
    /// To whom it is shown: `api` or `agents`.
    pub listener: &'static str,
    /// What its files say.
    pub shown: Arc<Kept<Shown<ServerConfig>>>,
}

impl Director {
    /// Tells which there are.
    pub fn show(&self, certificates: Vec<Certificate>) {
        // There is one start.
        let _ = self.certificates.set(certificates);
    }

    pub(super) fn certificate_status(&self) -> Vec<CertificateStatus> {
        let certificates = self.certificates.get().map_or(&[][..], Vec::as_slice);
        certificates
            .iter()
            .filter_map(Certificate::status)
            .collect()
    }
}

impl Certificate {
    fn status(&self) -> Option<CertificateStatus> {
        let shown = self.shown.get();
        Some(CertificateStatus {
            listener: self.listener.to_owned(),
            file: shown.file.display().to_string(),
            expires: shown.expires?,
        })
    }
}
