//! Profiles: what a kernel must be able to do for some purpose, as data that a `.config` is checked
//! against: `kernel-fragments/profiles.toml`.

use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::config::Config;
use super::value::Value;

/// All profiles, in the order of the data file.
static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    parse(include_str!("../../kernel-fragments/profiles.toml")).expect("`profiles.toml` is tested")
});

/// What a kernel needs for one purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name on the command line.
    pub name: String,
    /// What such a kernel can do, for people.
    pub what: String,
    /// All that it needs, with what the profiles before it need that it builds on.
    pub needs: Vec<Need>,
}

/// A symbol that a profile needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The symbol, without `CONFIG_`.
    pub symbol: String,
    /// What it must be at least.
    pub least: Least,
}

/// What a symbol must be at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Least {
    /// A module, or part of the kernel.
    Module,
    /// Part of the kernel.
    BuiltIn,
}

impl fmt::Display for Least {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Least::Module => "m or y",
            Least::BuiltIn => "y",
        })
    }
}

/// A need that a `.config` does not meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The symbol, without `CONFIG_`.
    pub symbol: String,
    /// What it must be at least.
    pub least: Least,
    /// What it is.
    pub got: Value,
}

/// Why a list of profiles is refused.
#[derive(Debug, thiserror::Error)]
enum ProfileError {
    /// It is not TOML, or has other fields.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    /// It builds on a profile that does not stand before it.
    #[error("the profile `{0}` builds on `{1}`, which does not stand before it")]
    Base(String, String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    profile: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Row {
    name: String,
    what: String,
    builds_on: Option<String>,
    built_in: Vec<String>,
    module: Vec<String>,
}

fn parse(text: &str) -> Result<Vec<Profile>, ProfileError> {
    let mut profiles: Vec<Profile> = Vec::new();
    for row in toml::from_str::<File>(text)?.profile {
        let mut needs = match row.builds_on {
            None => Vec::new(),
            Some(base) => match profiles.iter().find(|profile| profile.name == base) {
                Some(base) => base.needs.clone(),
                None => return Err(ProfileError::Base(row.name, base)),
            },
        };
        needs.extend(row.built_in.into_iter().map(|symbol| Need { symbol, least: Least::BuiltIn }));
        needs.extend(row.module.into_iter().map(|symbol| Need { symbol, least: Least::Module }));
        profiles.push(Profile { name: row.name, what: row.what, needs });
    }
    Ok(profiles)
}

/// All profiles.
pub fn profiles() -> &'static [Profile] {
    &PROFILES
}

/// The profile with this name.
pub fn profile(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name)
}

/// The needs of a profile that a `.config` does not meet, in the order of the profile.
pub fn missing(profile: &Profile, config: &Config) -> Vec<Missing> {
    let unmet = |need: &Need| {
        let got = config.value(&need.symbol);
        let is_met = *got == Value::Yes || *got == Value::Module && need.least == Least::Module;
        (!is_met).then(|| Missing { symbol: need.symbol.clone(), least: need.least, got: got.clone() })
    };
    profile.needs.iter().filter_map(unmet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_profile_has_a_name_of_its_own_and_no_symbol_twice() {
        for profile in profiles() {
            assert_eq!(super::profile(&profile.name), Some(profile));
            let symbols: BTreeSet<&str> = profile.needs.iter().map(|need| need.symbol.as_str()).collect();
            assert_eq!(symbols.len(), profile.needs.len(), "{}", profile.name);
            assert!(symbols.iter().all(|symbol| !symbol.starts_with(crate::kconfig::PREFIX)));
        }
    }

    #[test]
    fn a_module_meets_the_need_for_a_module_and_no_other() {
        let text = "[[profile]]\nname = 'a'\nwhat = ''\nbuilt-in = ['NET', 'USB']\nmodule = []\n\
                    [[profile]]\nname = 'b'\nwhat = ''\nbuilds-on = 'a'\nbuilt-in = []\n\
                    module = ['TUN', 'VETH', 'BRIDGE']\n";
        let profiles = parse(text).unwrap();
        let config = Config::parse("CONFIG_NET=y\nCONFIG_USB=m\nCONFIG_TUN=m\nCONFIG_VETH=y\n");
        let lacks = |symbol: &str, least, got| Missing { symbol: symbol.to_owned(), least, got };
        let expected =
            [lacks("USB", Least::BuiltIn, Value::Module), lacks("BRIDGE", Least::Module, Value::No)];
        assert_eq!(missing(&profiles[1], &config), expected);
        assert_eq!(missing(&profiles[0], &config), expected[..1]);
    }

    #[test]
    fn a_profile_builds_only_on_those_before_it() {
        let text = "[[profile]]\nname = 'a'\nwhat = ''\nbuilds-on = 'a'\nbuilt-in = []\nmodule = []\n";
        let message = parse(text).unwrap_err().to_string();
        assert_eq!(message, "the profile `a` builds on `a`, which does not stand before it");
    }
}
