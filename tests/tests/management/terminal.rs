//! `bulwark top` on a terminal, which it leaves as it was however it ends.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testbed::director::{Configuration, Director, binary};
use testbed::process::output_with_input;
use testbed::topology::{Plan, Topology};
use testbed::{require, wait};

const PATIENCE: Duration = Duration::from_secs(60);

/// What a terminal is told when it shows again what it showed before.
const BACK: &str = "\x1b[?1049l";

/// `bulwark top` on a terminal of script(1), with the size that terminals have when nobody asks.
struct Top {
    script: Child,
    folder: TempDir,
}

impl Top {
    fn on(director: &Director) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let program = binary("bulwark")?;
        let (program, pid) = (program.display(), folder.path().join("pid"));
        let line = format!(
            "stty rows 24 cols 80; echo $$ >{}; exec {program} top",
            pid.display()
        );
        let script = Command::new("script")
            .args(["-q", "-e", "-f", "-c", &line, "/dev/null"])
            .env(
                "BULWARK_API",
                format!("unix:{}", director.socket().display()),
            )
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(File::create(folder.path().join("screen"))?)
            .spawn()?;
        let top = Self { script, folder };
        top.shows("(automatic):")?;
        Ok(top)
    }

    fn screen(&self) -> Result<String> {
        let bytes = fs::read(self.folder.path().join("screen"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Waits until `text` has been written. Blanks need not be: the cursor goes past them.
    fn shows(&self, text: &str) -> Result<()> {
        wait::until(text, PATIENCE, || {
            let screen = self.screen()?;
            ensure!(screen.contains(text), "{screen:?}");
            Ok(())
        })
    }

    fn press(&mut self, keys: &str) -> Result<()> {
        let keyboard = self.script.stdin.as_mut().context("no keyboard")?;
        Ok(keyboard.write_all(keys.as_bytes())?)
    }

    fn kill(&self, signal: &str) -> Result<()> {
        let pid = fs::read_to_string(self.folder.path().join("pid"))?;
        output_with_input(Command::new("kill").args([signal, pid.trim()]), "")?;
        Ok(())
    }

    /// Waits for its end; what was written behind the last screen.
    fn ended(mut self) -> Result<(ExitStatus, String)> {
        let status = wait::until("its end", PATIENCE, || {
            self.script.try_wait()?.context("it goes on")
        })?;
        let screen = self.screen()?;
        let (_, behind) = screen.rsplit_once(BACK).context("the screen stays")?;
        Ok((status, behind.to_owned()))
    }
}

impl Drop for Top {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

#[test]
fn a_terminal_is_left_as_it_was() -> Result<()> {
    if !require::machine() || !require::programs(&["script", "stty"]) {
        return Ok(());
    }
    let topology = Topology::build(Plan::default())?;
    let configuration = Configuration::new(topology.interfaces());
    let mut director = Director::start(&topology.director, &configuration)?;
    let lines = "-A -t 192.168.100.200:65001 -s rr\n\
                 -a -t 192.168.100.200:65001 -r 192.168.100.201:65002 -m\n";
    let mut restore = Command::new(binary("bulwark")?);
    let socket = format!("unix:{}", director.socket().display());
    restore.env("BULWARK_API", &socket).arg("-R");
    output_with_input(&mut restore, lines)?;

    let mut top = Top::on(&director)?;
    for name in [
        "tcp:192.168.100.200:65001",
        "192.168.100.201:65002",
        "InAct",
    ] {
        top.shows(name)?;
    }
    top.press("q")?;
    let (status, _) = top.ended()?;
    ensure!(status.code() == Some(0), "{status}");

    for signal in ["-TERM", "-HUP"] {
        let top = Top::on(&director)?;
        top.kill(signal)?;
        let (status, _) = top.ended().with_context(|| signal.to_owned())?;
        ensure!(status.code() == Some(0), "{signal}: {status}");
    }

    let top = Top::on(&director)?;
    director.stop()?;
    let (status, said) = top.ended()?;
    ensure!(status.code() == Some(3), "{status}: {said}");
    ensure!(said.contains("is the director running?"), "{said}");
    Ok(())
}
