//! The UEFI firmware of the emulated machine, as Debian's `qemu-efi-aarch64` ships it.

use std::path::{Path, PathBuf};

use serde::Serialize;

/// Where Debian puts the firmware.
const AAVMF: &str = "/usr/share/AAVMF";

/// The environment variable that names a directory to take the place of Debian's.
pub const DIRECTORY_VARIABLE: &str = "FACTORY_AAVMF_DIR";

/// Which firmware to start the machine with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// Starts whatever it finds.
    #[default]
    Plain,
    /// Has Microsoft's keys enrolled, and starts only what they have signed.
    SecureBoot,
    /// Files of one's own.
    Files {
        /// The code, a flash image.
        code: PathBuf,
        /// The first state of the variables, a flash image; it is not changed.
        vars: PathBuf,
    },
}

/// The two flash images of a firmware. Neither is ever changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Firmware {
    /// The code.
    pub code: PathBuf,
    /// The first state of the variables.
    pub vars: PathBuf,
}

/// There is no firmware.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no UEFI firmware `{name}` in `{}`\n\n\
     hint: on Debian, `apt-get install qemu-efi-aarch64`, or name its directory in `{DIRECTORY_VARIABLE}`",
    dir.display()
)]
pub struct FirmwareError {
    /// The file that was looked for.
    pub name: String,
    /// Where it was looked for.
    pub dir: PathBuf,
}

/// Names of code and variables, by release: Debian 13 first, then Debian 12.
const PLAIN: [[&str; 2]; 2] =
    [["AAVMF_CODE.no-secboot.fd", "AAVMF_VARS.fd"], ["AAVMF_CODE.fd", "AAVMF_VARS.fd"]];
const SECURE_BOOT: [[&str; 2]; 2] =
    [["AAVMF_CODE.secboot.fd", "AAVMF_VARS.ms.fd"], ["AAVMF_CODE.ms.fd", "AAVMF_VARS.ms.fd"]];

impl Choice {
    /// The files of this firmware on this host.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn find(&self) -> Result<Firmware, FirmwareError> {
        let dir = std::env::var_os(DIRECTORY_VARIABLE).map_or_else(|| AAVMF.into(), PathBuf::from);
        self.find_in(&dir)
    }

    fn find_in(&self, dir: &Path) -> Result<Firmware, FirmwareError> {
        let names = match self {
            Choice::Plain => PLAIN,
            Choice::SecureBoot => SECURE_BOOT,
            Choice::Files { code, vars } => return given(code, vars),
        };
        names
            .iter()
            .map(|[code, vars]| Firmware { code: dir.join(code), vars: dir.join(vars) })
            .find(|firmware| firmware.code.is_file() && firmware.vars.is_file())
            .ok_or_else(|| FirmwareError { name: names[0][0].to_owned(), dir: dir.to_owned() })
    }
}

fn given(code: &Path, vars: &Path) -> Result<Firmware, FirmwareError> {
    match [code, vars].into_iter().find(|path| !path.is_file()) {
        None => Ok(Firmware { code: code.to_owned(), vars: vars.to_owned() }),
        Some(missing) => Err(FirmwareError {
            name: missing.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            dir: missing.parent().unwrap_or(Path::new("")).to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        for name in names {
            std::fs::write(dir.path().join(name), b"").expect("a file");
        }
        dir
    }

    fn found(choice: &Choice, names: &[&str]) -> Option<[String; 2]> {
        let dir = directory(names);
        let firmware = choice.find_in(dir.path()).ok()?;
        Some(
            [firmware.code, firmware.vars]
                .map(|path| path.file_name().expect("a file").to_string_lossy().into_owned()),
        )
    }

    const BOOKWORM: [&str; 4] = ["AAVMF_CODE.fd", "AAVMF_CODE.ms.fd", "AAVMF_VARS.fd", "AAVMF_VARS.ms.fd"];
    const TRIXIE: [&str; 4] =
        ["AAVMF_CODE.no-secboot.fd", "AAVMF_CODE.secboot.fd", "AAVMF_VARS.fd", "AAVMF_VARS.ms.fd"];

    #[test]
    fn both_layouts_of_debian_are_known() {
        let pair = |code: &str, vars: &str| Some([code.to_owned(), vars.to_owned()]);
        assert_eq!(found(&Choice::Plain, &BOOKWORM), pair("AAVMF_CODE.fd", "AAVMF_VARS.fd"));
        assert_eq!(found(&Choice::Plain, &TRIXIE), pair("AAVMF_CODE.no-secboot.fd", "AAVMF_VARS.fd"));
        assert_eq!(found(&Choice::SecureBoot, &BOOKWORM), pair("AAVMF_CODE.ms.fd", "AAVMF_VARS.ms.fd"));
        assert_eq!(found(&Choice::SecureBoot, &TRIXIE), pair("AAVMF_CODE.secboot.fd", "AAVMF_VARS.ms.fd"));
    }

    #[test]
    fn a_missing_firmware_names_the_package() {
        let dir = directory(&["AAVMF_CODE.fd"]);
        let error = Choice::Plain.find_in(dir.path()).expect_err("the variables are missing");
        assert!(error.to_string().contains("apt-get install qemu-efi-aarch64"), "{error}");
        let error = given(&dir.path().join("AAVMF_CODE.fd"), &dir.path().join("VARS.fd"));
        assert_eq!(error.map_err(|error| error.name), Err("VARS.fd".to_owned()));
    }
}
