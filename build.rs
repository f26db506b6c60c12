//! Hands the linker script to the payload's link, and to nothing else.

fn main() {
    println!("cargo::rerun-if-changed=linker.ld");
    println!("cargo::rerun-if-changed=boot");
    if std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("powerpc64") {
        let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        println!("cargo::rustc-link-arg-bins=-T{root}/linker.ld");
    }
}
