//! The name that programs ask the dynamic linker for. Its number is raised when a program that was built
//! with an older header would go wrong.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libbootenv.so.0");
}
