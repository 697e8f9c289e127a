//! Compiles the gate with clang and generates its typed skeleton.

use std::env;
use std::path::PathBuf;

use libbpf_cargo::SkeletonBuilder;

const SOURCES: [&str; 3] = ["bpf/gate.bpf.c", "bpf/maps.h", "bpf/parse.h"];

fn main() {
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
    }
    let out =
        PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("gate.skel.rs");
    let asm = format!("/usr/include/{}-linux-gnu", env::consts::ARCH);
    let args = ["-Wall", "-Werror", "-O2", "-I", asm.as_str()];
    if let Err(error) = SkeletonBuilder::new()
        .source(SOURCES[0])
        .clang_args(args)
        .build_and_generate(&out)
    {
        panic!(
            "cannot build {}: {error:#}\n(`make deps` installs clang and the headers)",
            SOURCES[0]
        );
    }
}
