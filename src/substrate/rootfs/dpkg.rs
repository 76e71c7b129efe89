//! Debian packages as a layer, with the database that dpkg would have written.
//!
//! Maintainer scripts are not run: packages are in the state `unpacked`, which is the truth, and
//! `dpkg --configure -a` on the device does the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use md5::{Digest as _, Md5};

use super::merge::{Directories, Merge, MergeError};
use super::tar::{self, TarLayerError};
use crate::image::extents::Extents;
use crate::substrate::content::Stream;
use crate::tree::{Kind, Meta, Node, TreePath};

const DATABASE: &str = "var/lib/dpkg";
const BASE_PASSWD: &str = "usr/share/base-passwd/";
/// The largest `status` of an earlier layer. That of a desktop has 8 MiB.
const MAX_STATUS: u64 = 64 << 20;

/// A package, unpacked into its two parts.
#[derive(Clone, Debug)]
pub struct Package {
    /// What it is called in errors.
    pub name: String,
    /// The `data` member of the `.deb`, as a tar archive that is not compressed.
    pub data: PathBuf,
    /// Files of the `control` member by name: `control`, `md5sums`, `postinst` ...
    pub control: BTreeMap<String, Vec<u8>>,
}

/// Why packages cannot become a layer.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The package's `control` is missing, not UTF-8, or lacks a field.
    #[error("package `{package}` has no sound control file: {what}")]
    Control {
        /// Name of the package.
        package: String,
        /// What is wrong.
        what: &'static str,
    },
    /// Its files cannot be placed.
    #[error("package `{package}` cannot be unpacked")]
    Unpack {
        /// Name of the package.
        package: String,
        /// What is wrong with its files.
        source: TarLayerError,
    },
    /// Two packages have one name.
    #[error("package `{0}` is in the layer twice")]
    Twice(String),
    /// The database that an earlier layer brought cannot be read.
    #[error("reading `{path}` of an earlier layer")]
    Earlier {
        /// Its `status`.
        path: TreePath,
        /// The reason.
        source: std::io::Error,
    },
    /// The database cannot be placed.
    #[error("writing the database of dpkg")]
    Database(#[source] MergeError),
    /// A configuration file cannot be read.
    #[error("reading `{path}` of package `{package}`")]
    Read {
        /// The file.
        path: String,
        /// Name of the package.
        package: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// The control file of a package, read.
struct Control<'a> {
    text: &'a str,
    package: &'a str,
    architecture: &'a str,
    is_same: bool,
}

impl<'a> Control<'a> {
    fn read(package: &'a Package) -> Result<Self, PackageError> {
        let wrong = |what| PackageError::Control { package: package.name.clone(), what };
        let text = package.control.get("control").ok_or_else(|| wrong("it is missing"))?;
        let text = std::str::from_utf8(text).map_err(|_| wrong("it is not UTF-8"))?.trim_end();
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.split_once(':').filter(|(key, _)| key.eq_ignore_ascii_case(name)))
                .map(|(_, value)| value.trim())
        };
        let is_name = |name: &&str| {
            let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"+-.".contains(&c);
            name.len() > 1 && name.bytes().all(plain) && !name.starts_with('.')
        };
        Ok(Control {
            text,
            package: field("Package").filter(is_name).ok_or_else(|| wrong("it names no package"))?,
            architecture: field("Architecture")
                .filter(is_name)
                .ok_or_else(|| wrong("it has no architecture"))?,
            is_same: field("Multi-Arch") == Some("same"),
        })
    }

    /// What the package's files in the database are called: libraries that may be there for several
    /// architectures carry theirs.
    fn file_stem(&self) -> String {
        if self.is_same { format!("{}:{}", self.package, self.architecture) } else { self.package.to_owned() }
    }

    /// The paragraph of `status`.
    fn paragraph(&self, conffiles: &[(String, String)]) -> String {
        let (first, rest) = self.text.split_once('\n').unwrap_or((self.text, ""));
        let mut paragraph = format!("{first}\nStatus: install ok unpacked\n");
        if !rest.is_empty() {
            paragraph += rest;
            paragraph.push('\n');
        }
        if !conffiles.is_empty() {
            paragraph += "Conffiles:\n";
            paragraph.extend(conffiles.iter().map(|(path, md5)| format!(" {path} {md5}\n")));
        }
        paragraph + "\n"
    }
}

/// Adds packages to the current layer, those that bring the links of the root directory first: the
/// files of all others go where these lead.
pub(super) fn add(merge: &mut Merge, packages: &[Package]) -> Result<(), PackageError> {
    let mut controls = packages
        .iter()
        .map(|package| Ok((Control::read(package)?, package)))
        .collect::<Result<Vec<_>, _>>()?;
    controls.sort_by_key(|(control, _)| (control.package != "base-files", control.package));
    let mut known = BTreeSet::new();
    let mut status = earlier_status(merge, &controls.iter().map(|(control, _)| control.package).collect())?;
    for (control, package) in &controls {
        if !known.insert(control.file_stem()) {
            return Err(PackageError::Twice(control.package.to_owned()));
        }
        status += &unpack(merge, control, package)?;
    }
    accounts(merge)?;
    let text = |text: String| Extents::bytes(text.into_bytes());
    write(merge, "status", 0o644, text(status))?;
    write(merge, "available", 0o644, Extents::zeros(0))?;
    write(merge, "info/format", 0o644, text("1\n".into()))
}

/// The paragraphs of `status` that earlier layers brought, without those of the packages `anew`.
fn earlier_status(merge: &Merge, anew: &BTreeSet<&str>) -> Result<String, PackageError> {
    let path = TreePath::root().join(DATABASE).join("status");
    let Some(Kind::File(content)) = merge.tree().get(&path).map(|node| &node.kind) else {
        return Ok(String::new());
    };
    let wrong = |source| PackageError::Earlier { path: path.clone(), source };
    if content.size() > MAX_STATUS {
        return Err(wrong(std::io::Error::other("it has more than 64 MiB")));
    }
    let mut text = String::new();
    Stream::new(content).read_to_string(&mut text).map_err(wrong)?;
    let name = |paragraph: &str| {
        paragraph.lines().find_map(|line| line.strip_prefix("Package:")).map(|name| name.trim().to_owned())
    };
    let kept = text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
    let kept = kept.filter(|paragraph| name(paragraph).is_none_or(|name| !anew.contains(name.as_str())));
    Ok(kept.flat_map(|paragraph| [paragraph, "\n\n"]).collect())
}

/// Gives a system without accounts those that `base-passwd` would make, as it ships them: root must
/// have a name before the first package can be configured.
fn accounts(merge: &mut Merge) -> Result<(), PackageError> {
    for (file, master) in [("passwd", "passwd.master"), ("group", "group.master")] {
        let (file, master) = (TreePath::root().join("etc").join(file), BASE_PASSWD.to_owned() + master);
        let Some(node) = merge.tree().get(&TreePath::root().join(&master)).cloned() else { continue };
        if merge.tree().get(&file).is_none() {
            merge.put(&file, node, Directories::Later).map_err(PackageError::Database)?;
        }
    }
    Ok(())
}

/// Adds one package; its paragraph of `status`.
fn unpack(merge: &mut Merge, control: &Control, package: &Package) -> Result<String, PackageError> {
    let places = tar::add(merge, &package.data, "data.tar")
        .map_err(|source| PackageError::Unpack { package: control.package.to_owned(), source })?;
    let stem = control.file_stem();
    let list: String = places
        .iter()
        .map(|path| if *path == TreePath::root() { "/.\n".into() } else { format!("{path}\n") })
        .collect();
    write(merge, &format!("info/{stem}.list"), 0o644, Extents::bytes(list.into_bytes()))?;
    for (name, bytes) in package.control.iter().filter(|(name, _)| *name != "control" && is_member(name)) {
        let mode = if matches!(name.as_str(), "preinst" | "postinst" | "prerm" | "postrm" | "config") {
            0o755
        } else {
            0o644
        };
        write(merge, &format!("info/{stem}.{name}"), mode, Extents::bytes(bytes.clone()))?;
    }
    Ok(control.paragraph(&conffiles(merge, control, package)?))
}

/// Whether a control member is one that dpkg would keep; other names could be paths.
fn is_member(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c))
}

/// The package's configuration files with their MD5 sums, by which dpkg will know whether they were
/// changed.
fn conffiles(
    merge: &Merge,
    control: &Control,
    package: &Package,
) -> Result<Vec<(String, String)>, PackageError> {
    let list = package.control.get("conffiles").map(Vec::as_slice).unwrap_or_default();
    let mut sums = Vec::new();
    for path in String::from_utf8_lossy(list).lines().map(str::trim).filter(|line| line.starts_with('/')) {
        let place = merge.tree().resolve(path).ok();
        if let Some(Kind::File(content)) =
            place.and_then(|place| merge.tree().get(&place)).map(|node| &node.kind)
        {
            let sum = md5(content).map_err(|source| PackageError::Read {
                path: path.to_owned(),
                package: control.package.to_owned(),
                source,
            })?;
            sums.push((path.to_owned(), sum));
        }
    }
    Ok(sums)
}

fn md5(content: &Extents) -> std::io::Result<String> {
    let (mut hash, mut stream, mut buffer) = (Md5::new(), Stream::new(content), vec![0; 64 << 10]);
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

fn write(merge: &mut Merge, name: &str, mode: u16, content: Extents) -> Result<(), PackageError> {
    let path = TreePath::root().join(DATABASE).join(name);
    let node = Node { meta: Meta::root(mode), kind: Kind::File(Arc::new(content)) };
    merge.put(&path, node, Directories::Later).map(drop).map_err(PackageError::Database)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::NamedTempFile;

    fn package(control: &str, files: &[(&str, &str)], more: &[(&str, &str)]) -> (NamedTempFile, Package) {
        let mut builder = ::tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = ::tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), builder.into_inner().unwrap()).unwrap();
        let control = more
            .iter()
            .copied()
            .chain([("control", control)])
            .map(|(name, text)| (name.to_string(), text.as_bytes().to_vec()));
        let package =
            Package { name: "x".to_owned(), data: file.path().to_owned(), control: control.collect() };
        (file, package)
    }

    fn text(merge: &Merge, path: &str) -> String {
        let Kind::File(content) = &merge.tree().get(&TreePath::root().join(path)).unwrap().kind else {
            panic!()
        };
        let mut bytes = vec![0; content.size() as usize];
        content.read_at(0, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_database_says_what_is_unpacked() {
        let control =
            "Package: libz\nVersion: 1.2\nArchitecture: arm64\nMulti-Arch: same\nDescription: z\n more\n";
        let more = [("conffiles", "/etc/z.conf\n"), ("postinst", "#!/bin/sh\n"), ("../evil", "x")];
        let (_data, libz) = package(control, &[("etc/z.conf", "hello\n")], &more);
        let (_more, tool) = package("Package: a-tool\nArchitecture: all\n", &[("usr/bin/tool", "")], &[]);
        let mut merge = Merge::default();
        add(&mut merge, &[libz, tool]).unwrap();
        assert_eq!(
            text(&merge, "var/lib/dpkg/status"),
            "Package: a-tool\nStatus: install ok unpacked\nArchitecture: all\n\n\
             Package: libz\nStatus: install ok unpacked\nVersion: 1.2\nArchitecture: arm64\nMulti-Arch: same\n\
             Description: z\n more\nConffiles:\n /etc/z.conf b1946ac92492d2347c6235b4d2611184\n\n"
        );
        assert_eq!(text(&merge, "var/lib/dpkg/info/libz:arm64.list"), "/etc/z.conf\n");
        assert_eq!(text(&merge, "var/lib/dpkg/info/libz:arm64.postinst"), "#!/bin/sh\n");
        assert_eq!(merge.tree().iter().filter(|(path, _)| path.as_str().contains("evil")).count(), 0);
    }

    #[test]
    fn what_earlier_layers_say_of_other_packages_is_kept() {
        let (_old, old) = package("Package: old\nArchitecture: all\n", &[], &[]);
        let (_one, tool) = package("Package: a-tool\nVersion: 1\nArchitecture: all\n", &[], &[]);
        let (_two, newer) = package("Package: a-tool\nVersion: 2\nArchitecture: all\n", &[], &[]);
        let mut merge = Merge::default();
        add(&mut merge, &[old, tool]).unwrap();
        merge.next_layer();
        add(&mut merge, &[newer]).unwrap();
        assert_eq!(
            text(&merge, "var/lib/dpkg/status"),
            "Package: old\nStatus: install ok unpacked\nArchitecture: all\n\n\
             Package: a-tool\nStatus: install ok unpacked\nVersion: 2\nArchitecture: all\n\n"
        );
    }

    #[test]
    fn root_has_an_account_from_the_start() {
        let files = [("usr/share/base-passwd/passwd.master", "root:*:0:0:root:/root:/bin/bash\n")];
        let (_data, base) = package("Package: base-passwd\nArchitecture: all\n", &files, &[]);
        let mut merge = Merge::default();
        add(&mut merge, &[base]).unwrap();
        assert_eq!(text(&merge, "etc/passwd"), files[0].1);
    }

    #[test]
    fn a_package_without_a_name_or_twice_is_refused() {
        let (_data, nameless) = package("Architecture: all\n", &[], &[]);
        let mut merge = Merge::default();
        let error = add(&mut merge, &[nameless]).unwrap_err();
        assert!(error.to_string().ends_with("has no sound control file: it names no package"));
        let (_more, tool) = package("Package: a-tool\nArchitecture: all\n", &[], &[]);
        assert!(
            matches!(add(&mut merge, &[tool.clone(), tool]), Err(PackageError::Twice(name)) if name == "a-tool")
        );
    }
}
