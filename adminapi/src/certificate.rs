//! Certificates that are shown to others, and until when they are good for anything.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::kept::Kept;

const DAY: u64 = 24 * 60 * 60;

/// So many seconds before it expires a certificate is worth a word.
const SOON: u64 = 14 * DAY;

/// How often that is said.
const AGAIN: Duration = Duration::from_secs(DAY);

/// What a side that speaks TLS goes by, and the certificate that it shows.
#[derive(Debug)]
pub struct Shown<T> {
    /// What it goes by.
    pub config: Arc<T>,
    /// Where the certificate is, with those that lead to a root.
    pub file: PathBuf,
    /// When the first of them expires, in seconds since 1970; none if they do not say so.
    pub expires: Option<u64>,
}

impl<T> Shown<T> {
    /// The certificates `chain` of `file`.
    pub fn new(config: T, file: PathBuf, chain: &[CertificateDer<'_>]) -> Self {
        Self {
            config: Arc::new(config),
            file,
            expires: chain.iter().filter_map(end).min(),
        }
    }

    /// What whoever renews it has to hear, if anything.
    pub fn remark(&self) -> Option<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.remark_at(now.unwrap_or_default().as_secs())
    }

    fn remark_at(&self, now: u64) -> Option<String> {
        let (file, end) = (self.file.display(), self.expires?);
        match end.checked_sub(now) {
            None => Some(format!(
                "{file}: a certificate in it has expired: whoever verifies it refuses it; renew it"
            )),
            Some(left) if left < SOON => Some(format!(
                "{file}: a certificate in it expires in {} days; renew it",
                left / DAY
            )),
            Some(_) => None,
        }
    }

    fn remind(&self) {
        if let Some(remark) = self.remark() {
            tracing::warn!("{remark}");
        }
    }
}

impl<T: Send + Sync + 'static> Kept<Shown<T>> {
    /// Reads `files` by `read`, now and whenever they change. What has to be heard is logged then.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn shown(
        what: &'static str,
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<Shown<T>, String> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, String> {
        let read = move || read().inspect(Shown::remind);
        Self::new(what, files, read).map(Arc::new)
    }

    /// Reads them again whenever they have changed, and says each day what has to be heard. Never
    /// ends.
    pub async fn tend(self: Arc<Self>) {
        let remind = async {
            loop {
                tokio::time::sleep(AGAIN).await;
                self.get().remind();
            }
        };
        tokio::join!(Arc::clone(&self).follow(), remind);
    }
}

/// The last second of a certificate. Only whoever verifies one is told that, and first of all: the
/// time at which it is verified here is after any.
fn end(certificate: &CertificateDer<'_>) -> Option<u64> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let late = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    let usage = KeyUsage::server_auth();
    let judged = certificate.verify_for_usage(&[], &[], &[], late, usage, None, None);
    match judged.err()? {
        webpki::Error::CertExpired { not_after, .. } => Some(not_after.as_secs()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

    use super::*;

    /// 2030-01-01.
    const END: u64 = 1_893_456_000;

    fn certificate(year: i32, is_ca: IsCa) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        params.is_ca = is_ca;
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().into()
    }

    #[test]
    fn a_chain_is_good_until_the_first_of_it_expires() {
        let leaf = || certificate(2031, IsCa::NoCa);
        let ca = |year| certificate(year, IsCa::Ca(BasicConstraints::Unconstrained));
        for (chain, want) in [
            (vec![certificate(2030, IsCa::ExplicitNoCa)], Some(END)),
            (vec![leaf(), ca(2030)], Some(END)),
            (vec![ca(2030), ca(2040)], Some(END)),
            (vec![certificate(9999, IsCa::NoCa)], Some(253_370_764_800)),
            (vec![vec![1, 2, 3].into()], None),
        ] {
            let shown = Shown::new((), PathBuf::from("f"), &chain);
            assert_eq!(shown.expires, want);
        }
    }

    #[test]
    fn what_expires_soon_is_worth_a_word() {
        let shown = Shown::new((), PathBuf::from("f"), &[certificate(2030, IsCa::NoCa)]);
        for (now, want) in [
            (END - 14 * DAY, None),
            (END - 14 * DAY + 1, Some("expires in 13 days")),
            (END, Some("expires in 0 days")),
            (END + 1, Some("has expired")),
        ] {
            let said = shown.remark_at(now);
            let has = |said: &String| want.is_some_and(|want| said.contains(want));
            assert_eq!(said.as_ref().is_some_and(has), want.is_some(), "{said:?}");
            assert_eq!(said.is_some(), want.is_some(), "{said:?}");
        }
    }
}
