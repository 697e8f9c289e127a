//! `[sysctl]`: the sysctls of IPVS, by their names without `net.ipv4.vs.`.

use adminapi::sysctl::{Sysctl, Sysctls, Value};

use super::read::{Expected, Section};

pub(super) fn read(mut section: Section<'_>) -> Sysctls {
    let mut sysctls = Sysctls::default();
    let form = Expected::Text("a number, a list of two, or text");
    for sysctl in Sysctl::ALL {
        let Some(value) = section.optional::<Value>(sysctl.name(), &form) else {
            continue;
        };
        if let Err(bad) = sysctls.set(sysctl, &value) {
            let message = format!("must be {}, not {value}", bad.kind);
            section.refuse(sysctl.name(), message, "");
        }
    }
    section.finish();
    sysctls
}
