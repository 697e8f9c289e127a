//! Compiles the BPF programs with clang and generates their typed skeletons.

use std::env;
use std::path::PathBuf;

use libbpf_cargo::SkeletonBuilder;

const PROGRAMS: [&str; 5] = ["gate", "lanes", "hold", "home", "agent"];

fn main() {
    println!("cargo:rerun-if-changed=bpf");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let asm = format!("/usr/include/{}-linux-gnu", env::consts::ARCH);
    for name in PROGRAMS {
        let source = format!("bpf/{name}.bpf.c");
        let built = SkeletonBuilder::new()
            .source(&source)
            .clang_args(["-Wall", "-Werror", "-O2", "-mcpu=v3", "-I", asm.as_str()])
            .build_and_generate(out.join(format!("{name}.skel.rs")));
        if let Err(error) = built {
            panic!(
                "cannot build {source}: {error:#}\n(`make deps` installs clang and the headers)"
            );
        }
    }
}
