//! What the init stages are told about the image they start, in `/etc/factory/config`.

/// Facts and choices for the init stages; `tracks/shared/init/init` says what each means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the track: shown, never decided upon.
    pub track: String,
    /// Version of the image.
    pub version: String,
    /// Build id.
    pub build: String,
    /// Name of the machine.
    pub hostname: String,
    /// Whether wired interfaces ask for an address when there is no root file system.
    pub dhcp: bool,
    /// Whether every console has a root shell when there is no root file system.
    pub shell: bool,
    /// First program of the slot's root file system; without one, the initramfs is the system.
    pub rootfs_init: Option<String>,
    /// Numbers of partitions, where the table has no names to find them by.
    pub numbers: Option<Numbers>,
}

/// Numbers of partitions in the table, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Slot A.
    pub a: u32,
    /// Slot B.
    pub b: u32,
    /// What is kept across updates.
    pub data: u32,
}

/// Why a setting cannot be passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{value}` cannot be the {what} of an image\n\n\
     hint: use letters, digits and any of `. _ - + ~ : /`, without spaces"
)]
pub struct SettingsError {
    what: &'static str,
    value: String,
}

impl Settings {
    /// The lines of the configuration file.
    ///
    /// # Errors
    /// When a value is empty or has characters other than letters, digits and `._-+~:/`: the stages
    /// make paths and lines on the console of them.
    pub fn encode(&self) -> Result<String, SettingsError> {
        let yes = |choice: bool| if choice { "yes" } else { "no" };
        let init = self.rootfs_init.as_deref();
        let texts = [
            ("track", &self.track),
            ("version", &self.version),
            ("build id", &self.build),
            ("hostname", &self.hostname),
        ];
        let texts = texts.map(|(what, text)| (what, text.as_str()));
        for (what, value) in texts.into_iter().chain(init.map(|init| ("init", init))) {
            check(what, value)?;
        }
        if self.build.contains('/') {
            return Err(SettingsError { what: "build id", value: self.build.clone() });
        }
        let numbers = self.numbers.map(|Numbers { a, b, data }| {
            format!("PARTITION_A={a}\nPARTITION_B={b}\nPARTITION_DATA={data}\n")
        });
        let config = format!(
            "TRACK={}\nVERSION={}\nBUILD={}\nHOSTNAME={}\nNETWORK={}\nSHELL={}\nROOTFS={}\nINIT={}\n",
            self.track,
            self.version,
            self.build,
            self.hostname,
            if self.dhcp { "dhcp" } else { "none" },
            yes(self.shell),
            yes(init.is_some()),
            init.unwrap_or_default(),
        );
        Ok(config + &numbers.unwrap_or_default())
    }
}

fn check(what: &'static str, value: &str) -> Result<(), SettingsError> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-+~:/".contains(letter);
    if !value.is_empty() && value.chars().all(is_plain) {
        Ok(())
    } else {
        Err(SettingsError { what, value: value.to_owned() })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample() -> Settings {
        Settings {
            track: "generic".into(),
            version: "1.4.0".into(),
            build: "0123abcd".into(),
            hostname: "kiosk".into(),
            dhcp: true,
            shell: false,
            rootfs_init: None,
            numbers: None,
        }
    }

    #[test]
    fn every_setting_has_its_line() {
        assert_eq!(
            sample().encode().unwrap(),
            "TRACK=generic\nVERSION=1.4.0\nBUILD=0123abcd\nHOSTNAME=kiosk\nNETWORK=dhcp\nSHELL=no\nROOTFS=no\nINIT=\n"
        );
        let settings = Settings { rootfs_init: Some("/sbin/init".into()), dhcp: false, ..sample() };
        assert!(
            settings.encode().unwrap().ends_with("NETWORK=none\nSHELL=no\nROOTFS=yes\nINIT=/sbin/init\n")
        );
        let settings = Settings { numbers: Some(Numbers { a: 2, b: 3, data: 4 }), ..sample() };
        assert!(
            settings.encode().unwrap().ends_with("INIT=\nPARTITION_A=2\nPARTITION_B=3\nPARTITION_DATA=4\n")
        );
    }

    #[test]
    fn what_a_line_or_a_path_cannot_hold_is_refused() {
        for version in ["", "1 2", "1\nSHELL=yes", "$(reboot)", "é"] {
            let settings = Settings { version: version.into(), ..sample() };
            assert!(
                settings.encode().unwrap_err().to_string().contains("cannot be the version"),
                "{version}"
            );
        }
        let settings = Settings { build: "../x".into(), ..sample() };
        assert!(settings.encode().is_err());
    }
}
