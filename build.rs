//! Linker settings of the shared library: its soname, and that it stays mapped after `dlclose`.
#![allow(clippy::disallowed_methods)] // cargo speaks to build scripts through the environment

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libtarget_sdk.so.0");
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,relro,-z,now");
        println!("cargo::rustc-cdylib-link-arg=-Wl,-Bsymbolic");
    }
}
