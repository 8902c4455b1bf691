//! Passes one option to the linker of the binary.

fn main() {
    // The addresses that the loader fills in, packed: 20 KB in place of 1.6 MB, all of which is read into memory at
    // every start. glibc knows the form since 2.36, which Debian 12 brings.
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
