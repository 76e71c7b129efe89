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
    /// How a trial is judged.
    pub health: Health,
}

/// How a trial is judged.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Health {
    /// A program and its arguments between single spaces; without one, a system that is up is well.
    pub check: Option<String>,
    /// Seconds since the kernel's start after which a trial has failed.
    pub timeout: u32,
    /// Whether a hardware watchdog runs meanwhile, where there is one.
    pub watchdog: bool,
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

impl Health {
    /// Path of the check.
    pub fn program(&self) -> Option<&str> {
        self.check.as_deref()?.split(' ').next()
    }
}

impl Settings {
    /// The lines of the configuration file.
    ///
    /// # Errors
    /// When a value is empty or has characters other than letters, digits and `._-+~:/`: the stages
    /// make paths and lines on the console of them. A check may also have spaces and `=,@%`.
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
            letters(what, value, "._-+~:/")?;
        }
        if self.build.contains('/') {
            return Err(SettingsError { what: "build id", value: self.build.clone() });
        }
        let system = format!(
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
        let Health { check, timeout, watchdog } = &self.health;
        if let Some(command) = check {
            letters("health check", command, " ._-+:/=,@%")?;
        }
        let health = format!(
            "HEALTH_CHECK={}\nHEALTH_TIMEOUT={timeout}\nHEALTH_WATCHDOG={}\n",
            check.as_deref().unwrap_or_default(),
            yes(*watchdog),
        );
        Ok(system + &health)
    }
}

/// That a value has letters, digits and these signs, and not nothing.
fn letters(what: &'static str, value: &str, signs: &str) -> Result<(), SettingsError> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || signs.contains(letter);
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
            health: Health { check: None, timeout: 120, watchdog: true },
        }
    }

    #[test]
    fn every_setting_has_its_line() {
        assert_eq!(
            sample().encode().unwrap(),
            "TRACK=generic\nVERSION=1.4.0\nBUILD=0123abcd\nHOSTNAME=kiosk\nNETWORK=dhcp\nSHELL=no\nROOTFS=no\nINIT=\n\
             HEALTH_CHECK=\nHEALTH_TIMEOUT=120\nHEALTH_WATCHDOG=yes\n"
        );
        let settings = Settings { rootfs_init: Some("/sbin/init".into()), dhcp: false, ..sample() };
        let text = settings.encode().unwrap();
        assert!(text.contains("NETWORK=none\nSHELL=no\nROOTFS=yes\nINIT=/sbin/init\n"), "{text}");
        let health = Health { check: Some("/bin/is-up --all".into()), timeout: 20, watchdog: false };
        let text = Settings { health, ..sample() }.encode().unwrap();
        assert!(
            text.ends_with("HEALTH_CHECK=/bin/is-up --all\nHEALTH_TIMEOUT=20\nHEALTH_WATCHDOG=no\n"),
            "{text}"
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
        let health = Health { check: Some("/bin/a;b".into()), ..sample().health };
        assert!(Settings { health, ..sample() }.encode().is_err());
    }
}
