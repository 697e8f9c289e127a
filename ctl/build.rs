//! Takes the unwinder into the program: most commands are so short that to load a library for it
//! would be a tenth of what they take.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |part: &str| std::env::var(format!("CARGO_CFG_TARGET_{part}"));
    if target("OS").as_deref() == Ok("linux") && target("ENV").as_deref() == Ok("gnu") {
        // Part of GCC, as libgcc_s is; the linker has it where it has that.
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
