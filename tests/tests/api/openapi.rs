//! The API against its own description, as schemathesis sees it.

use std::path::Path;

use anyhow::{Result, ensure};
use testbed::require;

use crate::bed::Bed;

const LISTEN: &str = "127.0.0.1:7070";

#[test]
fn schemathesis_finds_no_fault() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let Some(schemathesis) = require::tool("schemathesis") else {
        return Ok(());
    };
    let bed = Bed::start(|configuration| {
        let configuration = configuration.api("listen", LISTEN);
        configuration.api("insecure_loopback", true)
    })?;
    let scratch = tempfile::tempdir()?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = bed.topology.director.command(schemathesis);
    command
        .current_dir(scratch.path())
        .arg("--config-file")
        .arg(folder.join("schemathesis.toml"))
        .args(["run", &format!("http://{LISTEN}/openapi.json")]);
    let output = command.output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(output.status.success(), "{said}\n{:?}", output.status);
    // It did not run into a wall at once.
    bed.director.api().health()?;
    Ok(())
}
