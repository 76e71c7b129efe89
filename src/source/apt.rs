//! The host's own APT sources (sources.list(5)): one-line `.list` and deb822 `.sources`.

use std::path::{Path, PathBuf};

use super::control::{self, Item};

/// One archive with some of its suites, as APT is told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// URLs of the archive.
    pub uris: Vec<String>,
    /// Suites or codenames.
    pub suites: Vec<String>,
    /// Components.
    pub components: Vec<String>,
    /// The keys that may sign.
    pub signed_by: Option<SignedBy>,
    /// Whether the time up to which a suite is valid is looked at; `None` leaves it to the
    /// configuration.
    pub check_valid_until: Option<bool>,
}

/// The keys that may sign an archive's suites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// Files with keys.
    Files(Vec<PathBuf>),
    /// Armored keys in the source itself.
    Keys(String),
}

/// The archive of the host's own distribution, as its APT sources name it.
///
/// `root` is the host's root directory.
pub fn host_archive(root: &Path) -> Option<Entry> {
    let codename = codename(&read(&root.join("etc/os-release")))?;
    let serves = |entry: &Entry| {
        let has = |list: &[String], name: &str| list.iter().any(|item| item == name);
        has(&entry.suites, &codename) && has(&entry.components, "main") && entry.uri().is_some()
    };
    entries(root).into_iter().find(serves)
}

impl Entry {
    /// The first URL that can be fetched from.
    pub fn uri(&self) -> Option<&str> {
        let is_web = |uri: &&String| uri.starts_with("http://") || uri.starts_with("https://");
        self.uris.iter().find(is_web).map(|uri| uri.trim_end_matches('/'))
    }
}

/// All entries of the host, in the order in which APT reads them.
fn entries(root: &Path) -> Vec<Entry> {
    let apt = root.join("etc/apt");
    let mut entries = parse_list(&read(&apt.join("sources.list")));
    let mut files: Vec<PathBuf> = std::fs::read_dir(apt.join("sources.list.d"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|file| file.path())
        .collect();
    files.sort();
    for file in files {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => entries.extend(parse_list(&read(&file))),
            Some("sources") => entries.extend(parse_sources(&read(&file))),
            _ => {}
        }
    }
    entries
}

/// What the host does not have or let us read says nothing.
fn read(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The codename in an os-release(5) file.
fn codename(os_release: &str) -> Option<String> {
    let value = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    let name = value.trim().trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.to_owned())
}

/// `deb [signed-by=/a.gpg arch=amd64] http://archive/debian trixie main contrib`
fn parse_list(text: &str) -> Vec<Entry> {
    text.lines().filter_map(parse_list_line).collect()
}

fn parse_list_line(line: &str) -> Option<Entry> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uri, suite) = (words.next()?, words.next()?);
    let mut entry = Entry {
        uris: vec![uri],
        suites: vec![suite],
        components: words.collect(),
        signed_by: None,
        check_valid_until: None,
    };
    for (name, value) in options.split_whitespace().filter_map(|option| option.split_once('=')) {
        match name.to_ascii_lowercase().as_str() {
            "signed-by" => entry.signed_by = signed_by(value),
            "check-valid-until" => entry.check_valid_until = Some(!is_no(value)),
            _ => {}
        }
    }
    Some(entry)
}

/// A paragraph of a `.sources` file while it is read.
struct Draft {
    entry: Entry,
    is_enabled: bool,
    is_binary: bool,
}

impl Draft {
    fn new() -> Self {
        Draft { entry: Entry::default(), is_enabled: true, is_binary: false }
    }

    fn set(&mut self, field: &str, value: &str) {
        let words = || value.split_whitespace().map(str::to_owned).collect::<Vec<String>>();
        match field.to_ascii_lowercase().as_str() {
            "types" => self.is_binary = words().iter().any(|kind| kind == "deb"),
            "uris" => self.entry.uris = words(),
            "suites" => self.entry.suites = words(),
            "components" => self.entry.components = words(),
            "signed-by" => self.entry.signed_by = signed_by(value),
            "enabled" => self.is_enabled = !is_no(value),
            "check-valid-until" => self.entry.check_valid_until = Some(!is_no(value)),
            _ => {}
        }
    }
}

/// Paragraphs of `Types`, `URIs`, `Suites` and so on.
fn parse_sources(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut draft = Draft::new();
    let parsed = control::parse(text.as_bytes(), |item| match item {
        Item::Field(name, value) => draft.set(name, value),
        Item::End => {
            let whole = std::mem::replace(&mut draft, Draft::new());
            entries.extend((whole.is_enabled && whole.is_binary).then_some(whole.entry));
        }
    });
    // APT refuses a damaged file as a whole.
    parsed.map_or_else(|_| Vec::new(), |()| entries)
}

/// The argument of `apt-config dump --format` for which [`checks_valid_until`] reads the answer.
pub const DUMP_FORMAT: &str = "%f=%v%n";
/// The setting that [`checks_valid_until`] is about.
pub const CHECK_VALID_UNTIL: &str = "Acquire::Check-Valid-Until";

/// Whether APT looks at the time up to which a suite is valid: what `dump`, an answer of `apt-config`,
/// says last, else yes (apt.conf(5)).
pub fn checks_valid_until(dump: &str) -> bool {
    let settings = dump.lines().filter_map(|line| line.split_once('='));
    let mut values = settings.filter(|(name, _)| name.eq_ignore_ascii_case(CHECK_VALID_UNTIL));
    values.next_back().is_none_or(|(_, value)| !is_no(value))
}

fn is_no(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "no" | "false" | "0" | "off" | "without" | "disable")
}

/// Files, or a key itself. Fingerprints without a file name nothing to read, so they are left out.
fn signed_by(value: &str) -> Option<SignedBy> {
    if value.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----") {
        // An empty line is written as a dot there.
        let lines: Vec<&str> =
            value.lines().map(|line| if line.trim() == "." { "" } else { line.trim() }).collect();
        return Some(SignedBy::Keys(lines.join("\n").trim_start().to_owned()));
    }
    let words = value.split([',', ' ', '\n', '\t']);
    let files: Vec<PathBuf> = words.filter(|word| word.starts_with('/')).map(PathBuf::from).collect();
    (!files.is_empty()).then_some(SignedBy::Files(files))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn host(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const OS_RELEASE: (&str, &str) = ("etc/os-release", "ID=debian\nVERSION_CODENAME=trixie\n");

    #[test]
    fn a_deb822_source_is_found() {
        let text = "# comment\nTypes: deb-src\nURIs: http://src.example\nSuites: trixie\nComponents: main\n\n\
                    Types: deb\nURIs: http://off.example\nSuites: trixie\nComponents: main\nEnabled: no\n\n\
                    Types: deb\nURIs: cdrom:[x]/ http://a.example/debian/\nSuites: trixie trixie-updates\n\
                    Components: main\nSigned-By:\n /usr/a.gpg\n /usr/b.gpg\nCheck-Valid-Until: no\n";
        let root = host(&[OS_RELEASE, ("etc/apt/sources.list.d/debian.sources", text)]);
        let entry = host_archive(root.path()).unwrap();
        assert_eq!(entry.uri(), Some("http://a.example/debian"));
        let files = ["/usr/a.gpg", "/usr/b.gpg"].map(PathBuf::from).to_vec();
        assert_eq!(entry.signed_by, Some(SignedBy::Files(files)));
        assert_eq!(entry.check_valid_until, Some(false));
    }

    #[test]
    fn a_one_line_source_is_found() {
        let text = "deb-src http://src.example trixie main\n  # deb http://off.example trixie main\n\
                    deb http://other.example bookworm main\ndeb http://parts.example trixie contrib\n\
                    deb [ arch=amd64 signed-by=/k.gpg ] https://b.example/debian trixie main # x\n";
        let root = host(&[OS_RELEASE, ("etc/apt/sources.list", text)]);
        let entry = host_archive(root.path()).unwrap();
        assert_eq!(entry.uri(), Some("https://b.example/debian"));
        assert_eq!(entry.signed_by, Some(SignedBy::Files(vec!["/k.gpg".into()])));
        assert_eq!(entry.check_valid_until, None);
    }

    #[test]
    fn a_key_may_stand_in_the_source_itself() {
        let text = "Types: deb\nURIs: http://a.example\nSuites: trixie\nComponents: main\nSigned-By:\n \
                    -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQGN\n -----END PGP PUBLIC KEY BLOCK-----\n";
        let root = host(&[OS_RELEASE, ("etc/apt/sources.list.d/a.sources", text)]);
        let keys = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQGN\n-----END PGP PUBLIC KEY BLOCK-----";
        assert_eq!(host_archive(root.path()).unwrap().signed_by, Some(SignedBy::Keys(keys.into())));
    }

    #[test]
    fn the_configuration_may_switch_the_check_off() {
        assert!(checks_valid_until(""));
        assert!(checks_valid_until("Acquire::Check-Valid-Until=true\n"));
        assert!(checks_valid_until("Acquire::Check-Valid-Until=\nAcquire::Other=false\n"));
        assert!(!checks_valid_until("Acquire::Check-Valid-Until=false\n"));
        assert!(!checks_valid_until("acquire::check-valid-until=yes\nAcquire::Check-Valid-Until=0\n"));
    }

    #[test]
    fn a_host_without_a_matching_source_has_no_archive() {
        let list = ("etc/apt/sources.list", "deb http://a.example bookworm main\n");
        assert_eq!(host_archive(host(&[OS_RELEASE, list]).path()), None);
        assert_eq!(host_archive(host(&[OS_RELEASE]).path()), None);
        assert_eq!(host_archive(host(&[list]).path()), None);
    }
}
