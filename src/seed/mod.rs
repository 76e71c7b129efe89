//! Seeds: what one device is told when it is flashed.
//!
//! ```text
//!   seed.toml, --hostname, --ssh-key, --user-data --> checked --> files of the directory `seed`
//!
//!   hostname           one line                        user-data         as it was given
//!   authorized_keys    public keys, a line each        meta-data         instance-id, host name, keys
//!   network            INTERFACE WORD VALUE            network-config    netplan, version 2
//!   10-seed-*.network  for systemd-networkd
//! ```
//! The three on the right are a seed of cloud-init's data source NoCloud. What is given may be secret, so no
//! message repeats it; names, addresses and paths are not.

mod document;
mod keys;
mod network;
mod user_data;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::config::Name;
use crate::digest::Sha256;

use document::Document;
use network::Network;

/// Name of the directory that the files are in.
pub const DIRECTORY: &str = "seed";

/// Longest file that is read, in bytes: it has to fit on a small partition, and into the memory of a small
/// device.
const LONGEST: u64 = 256 << 10;

/// What a person says about one device.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// A seed file.
    pub file: Option<&'a Path>,
    /// Host name, instead of the file's.
    pub hostname: Option<&'a Name>,
    /// Files with public keys, besides those of the seed file.
    pub keys: &'a [PathBuf],
    /// Document for cloud-init, instead of the file's.
    pub user_data: Option<&'a Path>,
}

/// Why a seed is not taken. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// A file cannot be read.
    #[error("reading `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is too long.
    #[error("`{}` has more than 256 KiB\n\nhint: let it load the rest from elsewhere", .0.display())]
    TooLong(PathBuf),
    /// Something in a file is wrong.
    #[error("{message}\n  --> {place}\n\nhint: {hint}")]
    Wrong {
        /// What is wrong, without what may be secret.
        message: String,
        /// File and line.
        place: String,
        /// A way out.
        hint: String,
    },
    /// A seed that says nothing.
    #[error("the seed is empty\n\nhint: give it a `hostname`, `ssh_keys`, `user_data` or `[network]`")]
    Empty,
}

/// Something wrong in a text: in which line, counted from 1, what, and a way out.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    line: usize,
    message: String,
    hint: &'static str,
}

/// A checked seed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Seed {
    hostname: Option<String>,
    keys: Vec<String>,
    network: Network,
    user_data: Option<Vec<u8>>,
}

/// Reads and checks a seed; none when nothing is asked for.
///
/// # Errors
/// When a file cannot be read, or says something that a device could not do.
pub fn read(request: &Request<'_>) -> Result<Option<Seed>, SeedError> {
    let Request { file, hostname, keys, user_data } = *request;
    if file.is_none() && hostname.is_none() && keys.is_empty() && user_data.is_none() {
        return Ok(None);
    }
    let mut seed = file.map_or_else(|| Ok(Seed::default()), |path| from_file(path, user_data.is_none()))?;
    if let Some(name) = hostname {
        seed.hostname = Some(name.0.clone());
    }
    for path in keys {
        let found = keys::parse_file(&text(path)?).map_err(|problem| wrong(path, problem))?;
        seed.add_keys(found);
    }
    if let Some(path) = user_data {
        seed.user_data = Some(document_for_cloud(path)?);
    }
    if seed == Seed::default() { Err(SeedError::Empty) } else { Ok(Some(seed)) }
}

fn from_file(path: &Path, with_user_data: bool) -> Result<Seed, SeedError> {
    let document = Document::parse(&text(path)?).map_err(|problem| wrong(path, problem))?;
    let mut seed =
        Seed { hostname: document.hostname.map(|name| name.0), network: document.network, ..Seed::default() };
    seed.add_keys(document.keys);
    if let Some(beside) = document.user_data.filter(|_| with_user_data) {
        seed.user_data = Some(document_for_cloud(&path.parent().unwrap_or(Path::new("")).join(beside))?);
    }
    Ok(seed)
}

fn document_for_cloud(path: &Path) -> Result<Vec<u8>, SeedError> {
    let bytes = bytes(path)?;
    user_data::check(&bytes).map_err(|problem| wrong(path, problem))?;
    Ok(bytes)
}

fn bytes(path: &Path) -> Result<Vec<u8>, SeedError> {
    let failed = |source| SeedError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > LONGEST { Err(SeedError::TooLong(path.to_owned())) } else { Ok(bytes) }
}

fn text(path: &Path) -> Result<String, SeedError> {
    let no_text = |_| {
        let hint = "write UTF-8; a key begins with its type, as in `ssh-ed25519 AAAA... name`";
        wrong(path, Problem { line: 1, message: "this is no text".to_owned(), hint })
    };
    String::from_utf8(bytes(path)?).map_err(no_text)
}

fn wrong(path: &Path, Problem { line, message, hint }: Problem) -> SeedError {
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    SeedError::Wrong { message, place: format!("{file}:{line}"), hint: hint.to_owned() }
}

impl Seed {
    /// The files with their names, in a fixed order.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        let mut put = |name: &str, content: Vec<u8>| files.push((name.to_owned(), content));
        if let Some(name) = &self.hostname {
            put("hostname", format!("{name}\n").into_bytes());
        }
        if !self.keys.is_empty() {
            put("authorized_keys", (self.keys.join("\n") + "\n").into_bytes());
        }
        // Without a document, NoCloud would not take the others for a seed.
        let user_data = self.user_data.clone().unwrap_or_else(|| b"#cloud-config\n{}\n".to_vec());
        put("user-data", user_data);
        if !self.network.is_empty() {
            put("network", self.network.lines().into_bytes());
            put("network-config", self.network.netplan().into_bytes());
            for (name, content) in self.network.units() {
                put(&name, content.into_bytes());
            }
        }
        let meta_data = self.meta_data(&files).into_bytes();
        files.push(("meta-data".to_owned(), meta_data));
        files
    }

    /// What NoCloud wants to know of the machine. Another seed makes another instance of it, for which
    /// cloud-init does all again. JSON's strings are YAML's.
    fn meta_data(&self, files: &[(String, Vec<u8>)]) -> String {
        let parts = files.iter().map(|(name, content)| format!("{name} {}\n", Sha256::of(content)));
        let digest = Sha256::of(parts.collect::<String>().as_bytes()).to_string();
        let mut text = format!("instance-id: factory-{}\n", &digest[..16]);
        let quoted = |text: &String| serde_json::Value::from(text.as_str()).to_string();
        text.extend(self.hostname.iter().map(|name| format!("local-hostname: {}\n", quoted(name))));
        if !self.keys.is_empty() {
            text.push_str("public-keys:\n");
            text.extend(self.keys.iter().map(|key| format!("  - {}\n", quoted(key))));
        }
        text
    }

    fn add_keys(&mut self, keys: Vec<String>) {
        for key in keys {
            if !self.keys.contains(&key) {
                self.keys.push(key);
            }
        }
    }
}

impl fmt::Debug for Seed {
    /// Nothing but names: the contents may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.files().iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests;
