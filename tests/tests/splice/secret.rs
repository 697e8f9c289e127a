//! Keys that follow from a secret, and go with it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use adminapi::model::CookiePolicy;
use anyhow::{Result, ensure};
use testbed::accounts::balanced;
use testbed::require;
use testbed::scene::Family;
use testbed::traffic::HttpConnection;

use crate::bed::{Bed, rules};
use crate::takeover::LOSS;

const HTTP: Family = Family::V4;

/// Writes a secret down; where it is.
fn secret(directory: &Path, text: &str) -> Result<String> {
    let path = directory.join(text);
    fs::write(&path, text.repeat(10))?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(path.display().to_string())
}

/// Also where no cookies are made with the next one.
#[test]
fn a_cookie_of_a_secret_is_no_good_when_there_is_another() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let secrets = tempfile::tempdir()?;
    let old = secret(secrets.path(), "former")?;
    let new = secret(secrets.path(), "latter")?;
    let mut bed = Bed::build_shaped(|file| file.cookies("secret_file", old))?;
    rules(bed.client(), LOSS)?;
    let mut early = HttpConnection::open(bed.client(), HTTP.http())?;
    bed.reload(|file| file.without_cookies().cookies("secret_file", new))?;
    bed.client()
        .run("nft", &["delete", "table", "inet", "loss"])?;
    let outcome = early.ask_name();
    ensure!(outcome.is_err(), "the cookie of another secret was good");
    let syns = bed.syns()?;
    ensure!(syns == 0, "{syns} SYNs");
    HttpConnection::open(bed.client(), HTTP.http())?.ask_name()?;
    ensure!(bed.syns()? > 0, "who has opened the connection?");
    balanced(&bed.director)
}

/// Another director has made it, or the same one before it was started anew.
#[test]
fn a_cookie_of_a_secret_is_good_where_nothing_calls_for_cookies() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let secrets = tempfile::tempdir()?;
    let path = secret(secrets.path(), "common")?;
    let mut bed = Bed::build_shaped(|file| file.cookies("secret_file", path))?;
    rules(bed.client(), LOSS)?;
    let mut early = HttpConnection::open(bed.client(), HTTP.http())?;
    bed.replace(|file| file.policy(CookiePolicy::Auto))?;
    bed.client()
        .run("nft", &["delete", "table", "inet", "loss"])?;
    early.ask_name()?;
    let status = bed.status(HTTP)?;
    ensure!(!status.active && status.sent == 0, "{status:?}");
    balanced(&bed.director)
}
