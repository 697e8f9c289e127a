//! How sysctls are written and shown.

use anyhow::Result;
use testbed::director::{Configuration, binary};
use testbed::require;
use testbed::wait;

use crate::sysctl::bed::{Bench, PATIENCE};

/// As `sysctl` writes and shows; a reload goes back to the file.
#[test]
fn the_command_line_and_the_file_write_sysctls() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(&[1])?;
    let socket = format!("unix:{}", bench.scene.director.socket().display());
    let say = |words: &str| -> Result<(String, String, Option<i32>)> {
        let mut command = bench.scene.topology.director.command(binary("bulwark")?);
        command.args(words.split(' ')).env("BULWARK_API", &socket);
        let output = command.output()?;
        let text = |bytes| String::from_utf8(bytes).map_err(anyhow::Error::from);
        Ok((
            text(output.stdout)?,
            text(output.stderr)?,
            output.status.code(),
        ))
    };
    let name = "net.ipv4.vs.expire_nodest_conn";
    let line = |value| format!("{name} = {value}\n");
    let quiet = String::new;
    assert_eq!(say(&format!("sysctl {name}"))?, (line(0), quiet(), Some(0)));
    let written = say(&format!("sysctl -w {name}=1"))?;
    assert_eq!(written, (line(1), quiet(), Some(0)));
    let shown = say(&format!("sysctl -n {name}"))?;
    assert_eq!(shown, ("1\n".to_owned(), quiet(), Some(0)));
    let (all, _, _) = say("sysctl -a")?;
    assert!(all.contains(&line(1)) && all.contains("net.ipv4.vs.sync_threshold = 3\t50\n"));

    let (said, why, _) = say("sysctl -w net.ipv4.vs.conntrack=1")?;
    assert_eq!(said, "net.ipv4.vs.conntrack = 1\n");
    assert!(why.contains("has no effect here"), "{why}");
    let (said, why, status) = say("sysctl -w net.ipv4.vs.secure_tcp=4")?;
    assert_eq!((said.as_str(), status), ("", Some(1)));
    assert!(why.contains("Invalid argument"), "{why}");
    let (_, why, status) = say("sysctl net.ipv4.vs.nothing")?;
    assert_eq!(status, Some(1));
    assert!(why.contains("No such file or directory"), "{why}");

    let interfaces = bench.scene.topology.interfaces();
    let file = Configuration::new(interfaces).sysctl("nat_icmp_send", 7);
    let text = file.text(&bench.scene.director.socket())?;
    bench.scene.director.reload(&text)?;
    let socket = format!("unix:{}", bench.scene.director.socket().display());
    wait::until_true("the reload", PATIENCE, || {
        let mut command = bench
            .scene
            .topology
            .director
            .command(binary("bulwark").unwrap_or_default());
        command.args(["sysctl", name, "net.ipv4.vs.nat_icmp_send"]);
        let output = command.env("BULWARK_API", &socket).output();
        let shown = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
        shown.is_ok_and(|shown| shown == line(0) + "net.ipv4.vs.nat_icmp_send = 7\n")
    })?;
    Ok(())
}
