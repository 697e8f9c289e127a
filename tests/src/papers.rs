//! Certificates for a test: of a CA, and of a director that it has signed.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// Files in a folder of their own, gone when this is dropped.
#[derive(Debug)]
pub struct Papers {
    folder: TempDir,
}

impl Papers {
    /// The certificate is for `address`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn of(address: IpAddr) -> Result<Self> {
        let papers = Self {
            folder: tempfile::tempdir()?,
        };
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = papers.folder.path().display().to_string();
        params.distinguished_name.push(DnType::CommonName, name);
        let ca_key = KeyPair::generate()?;
        fs::write(papers.path("ca.crt"), params.self_signed(&ca_key)?.pem())?;
        let issuer = Issuer::new(params, ca_key);
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new([address.to_string()])?.signed_by(&key, &issuer)?;
        fs::write(papers.path("director.crt"), certificate.pem())?;
        fs::write(papers.path("director.key"), key.serialize_pem())?;
        fs::set_permissions(
            papers.path("director.key"),
            fs::Permissions::from_mode(0o600),
        )?;
        Ok(papers)
    }

    /// A file: `ca.crt`, `director.crt`, `director.key`, or one that the test makes.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same as text, for a configuration or an argument.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}
