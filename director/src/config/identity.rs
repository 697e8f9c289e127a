//! The files that say who a side is: certificate, key, and the authority of the other side.

use std::path::PathBuf;

use super::read::{Expected, Section};
use crate::channel::Identity;

/// `authority` is the key that names the file of the authority.
pub(super) fn read(section: &mut Section<'_>, authority: &'static str) -> Option<Identity> {
    let expected = Expected::Text("the name of a file");
    let mend = "name a PEM file; docs/cookies.md shows how to make one";
    let certificate: Option<PathBuf> = section.required("certificate", &expected, mend);
    let key = section.required("key", &expected, mend);
    let authority = section.required(authority, &expected, mend);
    Some(Identity {
        certificate: certificate?,
        key: key?,
        authority: authority?,
    })
}
