//! The director's programs in the kernel, compiled by each clang that is installed: the kernel's verifier
//! has to follow what each makes of them. What is built has been compiled by the one called `clang`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use libbpf_rs::ObjectBuilder;
use testbed::require;

const PROGRAMS: [&str; 5] = ["gate", "lanes", "hold", "home", "agent"];

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../director/bpf")
}

/// `clang` and `clang-NN`, wherever the path leads to.
fn compilers() -> Vec<PathBuf> {
    let path: OsString = std::env::var_os("PATH").unwrap_or_default();
    let is_clang = |name: &str| {
        let version = name.strip_prefix("clang-");
        name == "clang" || version.is_some_and(|v| v.bytes().all(|b| b.is_ascii_digit()))
    };
    let files = std::env::split_paths(&path).filter_map(|dir| fs::read_dir(dir).ok());
    let names = files.flatten().flatten().map(|file| file.path());
    let mut found: Vec<_> = names
        .filter(|file| {
            file.file_name()
                .and_then(|n| n.to_str())
                .is_some_and(is_clang)
        })
        .filter_map(|file| file.canonicalize().ok())
        .collect();
    found.sort();
    found.dedup();
    found
}

fn compile(clang: &Path, name: &str, object: &Path) -> Result<()> {
    let asm = format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    let arch = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "x86",
    };
    let output = Command::new(clang)
        .args([
            "-g", "-O2", "-mcpu=v3", "-Wall", "-Werror", "-target", "bpf", "-I", &asm,
        ])
        .arg(format!("-D__TARGET_ARCH_{arch}"))
        .arg("-c")
        .arg(sources().join(format!("{name}.bpf.c")))
        .arg("-o")
        .arg(object)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{}: {name}: {said}",
        clang.display()
    );
    Ok(())
}

/// Loads a program, with every constant `filled`: where one is 0 the verifier leaves out what is not
/// reached with it.
fn load(object: &Path, filled: u8) -> Result<()> {
    let mut object = ObjectBuilder::default().open_file(object)?;
    for mut map in object.maps_mut() {
        let is_constants = map.name().to_string_lossy().ends_with(".rodata");
        if let Some(values) = map.initial_value_mut().filter(|_| is_constants) {
            values.fill(filled);
        }
    }
    object.load()?;
    Ok(())
}

/// Some need a newer kernel than others, whoever has compiled them.
#[test]
fn the_kernel_takes_what_any_compiler_makes() -> Result<()> {
    if !require::programs(&["clang"]) {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let object = dir.path().join("program.o");
    for name in PROGRAMS {
        for filled in [0, 1] {
            let loads = |clang: &Path| {
                compile(clang, name, &object)?;
                load(&object, filled)
            };
            let built = loads(Path::new("clang"));
            if built.is_err() && name != "gate" {
                continue;
            }
            built?;
            for clang in compilers() {
                loads(&clang).with_context(|| format!("{name} by {}", clang.display()))?;
            }
        }
    }
    Ok(())
}
