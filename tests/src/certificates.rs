//! Certificates of a director, for those who ask its API and for the agents of its real servers, as
//! an authority of the test's own makes them.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use tempfile::TempDir;

/// The year until which certificates are good if nothing is said of it.
const FAR: i32 = 3000;

/// An authority, and the files that it has made.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

/// The files of one side.
#[derive(Clone, Debug)]
pub struct Files {
    /// Its certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The certificate of the authority.
    pub authority: PathBuf,
}

impl Authority {
    /// A new one, of a name that no other has.
    ///
    /// # Errors
    /// When there is no room for its files.
    pub fn new() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("bulwark-ca-").tempdir()?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = directory.path().display().to_string();
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let authority = Self { issuer, directory };
        fs::write(authority.file(), authority.issuer.pem())?;
        Ok(authority)
    }

    /// Its own certificate.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Files of a side that has `addresses`.
    ///
    /// # Errors
    /// When there is no room for them.
    pub fn certify(&self, name: &str, addresses: &[IpAddr]) -> Result<Files> {
        self.certify_until(FAR, name, addresses)
    }

    /// The same, good until a year begins.
    ///
    /// # Errors
    /// When there is no room for them.
    pub fn certify_until(&self, year: i32, name: &str, addresses: &[IpAddr]) -> Result<Files> {
        let names: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer)?;
        let path = |what: &str| self.directory.path().join(format!("{name}{what}"));
        let files = Files {
            certificate: path(".pem"),
            key: path(".key"),
            authority: self.file(),
        };
        fs::write(&files.certificate, certificate.pem())?;
        fs::write(&files.key, key.serialize_pem())?;
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600))?;
        Ok(files)
    }
}
