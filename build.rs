//! Takes the device's command `bootenv` into this program. `.ci/bootenv` builds it, and
//! `FACTORY_BOOTENV` is the path of the result. Without one, the program goes without.

use std::path::Path;
use std::{env, fs, io};

const VARIABLE: &str = "FACTORY_BOOTENV";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let content = match env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        Some(path) => {
            let path = Path::new(&path);
            println!("cargo::rerun-if-changed={}", path.display());
            let name = |error| io::Error::other(format!("`{VARIABLE}`, `{}`: {error}", path.display()));
            fs::read(path).map_err(name)?
        }
        None => Vec::new(),
    };
    let dir = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets `OUT_DIR`"))?;
    fs::write(Path::new(&dir).join("bootenv"), content)
}
