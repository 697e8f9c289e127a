//! Takes the unwinder into the program, and has it stand at a fixed place: most commands are so short
//! that to load a library, or to fill in thousands of addresses, would be a good part of what they
//! take.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |part: &str| std::env::var(format!("CARGO_CFG_TARGET_{part}"));
    if target("OS").as_deref() == Ok("linux") && target("ENV").as_deref() == Ok("gnu") {
        // Part of GCC, as libgcc_s is; the linker has it where it has that.
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
