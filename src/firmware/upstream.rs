//! The Raspberry Pi's firmware as its makers publish it: files at a tag, each with its digest.
//!
//! ```text
//!   https://host/raspberrypi/firmware  /  1.20260408  /  boot/start4.elf
//!   base: the project's or the            tag             path of a row
//!   environment's
//! ```

use std::sync::LazyLock;

use serde::Deserialize;

use super::Pick;
use crate::digest::Sha256;
use crate::source::{Origin, Wanted};

/// Variable of the environment with the base for projects that name none.
pub const VARIABLE: &str = "FACTORY_RPI_FIRMWARE_URL";

static UPSTREAM: LazyLock<Upstream> = LazyLock::new(|| {
    toml::from_str(include_str!("../../firmware/rpi-upstream.toml"))
        .expect("`firmware/rpi-upstream.toml` is tested")
});

/// Files of one tag.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// The tag.
    pub tag: String,
    /// The files; whoever needs fewer takes the others away.
    #[serde(rename = "file")]
    pub files: Vec<File>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Path in the repository.
    pub path: String,
    /// Length in bytes.
    pub size: u64,
    /// Digest of the content.
    pub sha256: Sha256,
}

/// Nobody says where the files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "nobody says where the Raspberry Pi's firmware is published\n\nhint: set `upstream` under `[rpi]` in `factory.toml`, or `{VARIABLE}`, to the address that the tag `{tag}` follows; or take the Debian package", tag = UPSTREAM.tag
)]
pub struct NoBase;

/// The files that this program knows.
pub fn upstream() -> Upstream {
    UPSTREAM.clone()
}

impl File {
    /// Its last component.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The role that it fills.
    fn role(&self) -> String {
        format!("firmware/{}", self.name())
    }
}

impl Upstream {
    /// The questions for all files, one for each role, as the files are below `base`.
    ///
    /// # Errors
    /// When there is no base.
    pub fn wanted(&self, base: Option<&str>) -> Result<Vec<Wanted>, NoBase> {
        let base = base.ok_or(NoBase)?.trim_end_matches('/');
        let url = |file: &File| format!("{base}/{}/{}", self.tag, file.path);
        let origin = |file: &File| Origin::Url { url: url(file), sha256: file.sha256 };
        Ok(self.files.iter().map(|file| Wanted::new(file.role(), origin(file))).collect())
    }

    /// The files as a track takes them, under their own names.
    pub fn picks(&self) -> Vec<Pick> {
        let pick = |file: &File| Pick {
            part: file.role(),
            name: file.name().to_owned(),
            paths: Vec::new(),
            is_optional: false,
        };
        self.files.iter().map(pick).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_file_is_asked_for_at_its_tag_and_taken_as_a_whole() {
        let upstream = Upstream {
            tag: "1.2".into(),
            files: vec![File { path: "boot/a.elf".into(), size: 1, sha256: Sha256::of(b"a") }],
        };
        let wanted = upstream.wanted(Some("https://host.example/firmware/")).unwrap();
        let url = "https://host.example/firmware/1.2/boot/a.elf".to_owned();
        let origin = Origin::Url { url, sha256: Sha256::of(b"a") };
        assert_eq!(wanted, [Wanted::new("firmware/a.elf", origin)]);
        let picks = upstream.picks();
        assert_eq!((&*picks[0].part, &*picks[0].name), (&*wanted[0].name, "a.elf"));
    }

    #[test]
    fn the_list_has_what_a_pi_4_starts_with_and_its_licence_once_each() {
        let upstream = upstream();
        let names: BTreeSet<&str> = upstream.files.iter().map(File::name).collect();
        assert_eq!(names.len(), upstream.files.len());
        for name in ["start4.elf", "fixup4.dat", "LICENCE.broadcom"] {
            assert!(names.contains(name), "{name}");
        }
    }

    #[test]
    fn without_a_base_there_is_a_way_out() {
        let told = upstream().wanted(None).unwrap_err().to_string();
        assert!(told.contains("`upstream` under `[rpi]`") && told.contains(VARIABLE), "{told}");
    }
}
