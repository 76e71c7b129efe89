//! Packages of a Debian system, by dpkg's database (deb822(5), dpkg(1)).

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use super::findings::Findings;
use super::inside;
use super::model::Place;
use crate::interrupt::Interrupted;
use crate::source::control::{self, Item};
use crate::volume::Region;

/// The database in a root file system.
pub(super) const STATUS: &str = "var/lib/dpkg/status";

/// Most packages that are listed: more than Debian has.
const MOST: usize = 200_000;

/// Version and state of a package.
#[derive(Debug, Default)]
struct Package {
    version: String,
    state: String,
}

type Packages = BTreeMap<String, Package>;

pub(super) fn compare(found: &mut Findings, place: &Place, files: [&Region; 2]) -> Result<(), Interrupted> {
    let Some([a, b]) = inside::both(found, place, files, packages)? else { return Ok(()) };
    let at = |name: &str| place.inside(format!("package {name}"));
    for (name, package) in &a {
        match b.get(name) {
            None => found.removed(at(name), format!("version {}", package.version)),
            Some(other) => {
                found.compare(&at(name), "version", &package.version, &other.version);
                found.compare(&at(name), "state", &package.state, &other.state);
            }
        }
    }
    for (name, package) in b.iter().filter(|(name, _)| !a.contains_key(*name)) {
        found.added(at(name), format!("version {}", package.version));
    }
    Ok(())
}

/// The packages of a database, by name, and architecture where it is told.
fn packages(text: &mut impl BufRead) -> io::Result<Packages> {
    let mut packages = Packages::new();
    let (mut name, mut architecture, mut package) = (String::new(), String::new(), Package::default());
    control::parse(text, |item| match item {
        Item::Field("Package", value) => value.clone_into(&mut name),
        Item::Field("Architecture", value) => value.clone_into(&mut architecture),
        Item::Field("Version", value) => value.clone_into(&mut package.version),
        Item::Field("Status", value) => value.clone_into(&mut package.state),
        Item::Field(..) => {}
        Item::End => {
            let (name, of) = (std::mem::take(&mut name), std::mem::take(&mut architecture));
            let name = if of.is_empty() { name } else { format!("{name}:{of}") };
            if packages.len() < MOST {
                packages.insert(name, std::mem::take(&mut package));
            }
        }
    })?;
    Ok(packages)
}
