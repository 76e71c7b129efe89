//! Patches to a source: unified diffs, as `diff -u`, git and quilt write them, for `patch -p1`.
//!
//! ```text
//! --- a/kernel/fork.c      names outside of hunks: looked at before anything is written
//! +++ b/kernel/fork.c
//! @@ -10,7 +10,8 @@        a hunk: so many lines of the old file, so many of the new one
//! ```

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use super::SourceTreeError;
use super::unpack::system_time;
use crate::digest::Sha256;
use crate::tool::{PATCH, ToolError};
use crate::tree::TreePath;

/// The longest patch, in bytes: longer than those between two releases of Linux.
const LONGEST: u64 = 256 << 20;

/// Marks of lines that name a file, and whether the name has a directory in front for `-p1`.
const NAMES: [(&str, bool); 7] = [
    ("--- ", true),
    ("+++ ", true),
    ("Index: ", true),
    ("rename from ", false),
    ("rename to ", false),
    ("copy from ", false),
    ("copy to ", false),
];

/// A patch that writes nothing outside of the tree that it is applied to.
#[derive(Debug)]
pub(super) struct Patch {
    path: PathBuf,
    content: Vec<u8>,
    /// The files that it names, and the lines where it does.
    names: Vec<(usize, TreePath)>,
}

impl Patch {
    /// Reads and checks the patch at `path`.
    ///
    /// # Errors
    /// When it is damaged, no unified diff, or names a file outside of its tree.
    pub(super) fn read(path: &Path) -> Result<Self, SourceTreeError> {
        let mut content = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut content));
        let count = read.map_err(SourceTreeError::reading(path))?;
        let bad = |(line, what)| SourceTreeError::BadPatch { patch: path.to_owned(), line, what };
        if count as u64 > LONGEST {
            return Err(bad((1, format!("it has more than {}", crate::units::Bytes(LONGEST)))));
        }
        let names = names(&content).map_err(bad)?;
        Ok(Patch { path: path.to_owned(), content, names })
    }

    pub(super) fn sha256(&self) -> Sha256 {
        Sha256::of(&self.content)
    }

    /// Applies it to `tree`, a kernel of `version`. The files that it changes get the time `time`, in
    /// seconds since 1970.
    ///
    /// # Errors
    /// When it does not apply, or the program that applies it is missing.
    pub(super) fn apply(&self, tree: &Path, version: &str, time: u32) -> Result<(), SourceTreeError> {
        if let Some(output) = self.run(tree)? {
            let (patch, version) = (self.path.clone(), version.to_owned());
            return Err(SourceTreeError::DoesNotApply { patch, version, what: self.reason(&output) });
        }
        let is_file = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
        for path in self.names.iter().map(|(_, name)| tree.join(name.as_str())).filter(is_file) {
            let set = File::open(&path).and_then(|file| file.set_modified(system_time(time)));
            set.map_err(SourceTreeError::writing(&path))?;
        }
        Ok(())
    }

    /// Runs `patch`; what it says when it fails.
    fn run(&self, tree: &Path) -> Result<Option<String>, SourceTreeError> {
        let io = SourceTreeError::reading(&self.path);
        let [checked, output] = self.files().map_err(io)?;
        // `-f` asks nothing and takes no patch for one that is to be reversed.
        let options =
            ["-p1", "-u", "-f", "--no-backup-if-mismatch", "--quoting-style=literal", "-r", "-", "-d"];
        let mut arguments: Vec<&OsStr> = options.map(OsStr::new).into();
        arguments.push(tree.as_os_str());
        let io = SourceTreeError::reading(&self.path);
        let streams = output
            .try_clone()
            .and_then(|second| Ok([checked.into(), second.try_clone()?.into(), second.into()]));
        let mut child = PATCH.spawn(&arguments, streams.map_err(io)?)?;
        let status =
            child.wait().map_err(|source| ToolError::Start { program: PATCH.program.to_owned(), source })?;
        if status.success() {
            return Ok(None);
        }
        let mut said = Vec::new();
        let mut output = output;
        let read = output.rewind().and_then(|()| output.read_to_end(&mut said));
        read.map_err(SourceTreeError::reading(&self.path))?;
        Ok(Some(String::from_utf8_lossy(&said).into_owned()))
    }

    /// The patch as it was checked, whatever its file holds by now, and an empty file.
    fn files(&self) -> io::Result<[File; 2]> {
        let mut checked = tempfile::tempfile()?;
        checked.write_all(&self.content)?;
        checked.rewind()?;
        Ok([checked, tempfile::tempfile()?])
    }

    /// The first thing that `patch` could not do.
    fn reason(&self, output: &str) -> String {
        let mut file = "";
        for line in output.lines() {
            if let Some(name) = line.strip_prefix("patching file ") {
                file = name;
            } else if let Some((hunk, at)) =
                line.strip_prefix("Hunk #").and_then(|rest| rest.split_once(" FAILED at "))
            {
                return format!("hunk {hunk} of `{file}` does not fit at line {}", at.trim_end_matches('.'));
            } else if let Some(at) = line.strip_prefix("can't find file to patch at input line ") {
                return format!("there is no file `{}`", self.name_at(at.parse().unwrap_or(usize::MAX)));
            }
        }
        output.lines().last().unwrap_or("`patch` says nothing").to_owned()
    }

    /// The file that was named last up to `line`.
    fn name_at(&self, line: usize) -> &str {
        let named = self.names.iter().take_while(|(at, _)| *at <= line).last();
        named.map_or("", |(_, name)| name.as_str())
    }
}

/// A line from 1, and what is wrong there.
type Wrong = (usize, String);

/// The files that a patch names outside of its hunks, with the lines where it does, from 1.
fn names(patch: &[u8]) -> Result<Vec<(usize, TreePath)>, Wrong> {
    let mut names = Vec::new();
    let mut hunk = Hunk::default();
    let mut lines = 0;
    let patch = patch.strip_suffix(b"\n").unwrap_or(patch);
    for (at, line) in (1..).zip(patch.split(|byte| *byte == b'\n')) {
        lines = at;
        if hunk.is_open() {
            hunk.take(line).map_err(|what| (at, what))?;
        } else if line.starts_with(b"@@ ") {
            hunk = Hunk::parse(line).ok_or_else(|| (at, "the head of a hunk is damaged".to_owned()))?;
        } else if line.starts_with(b"GIT binary patch") || line.starts_with(b"Binary files ") {
            return Err((at, "it changes a binary file, which `patch` cannot do".to_owned()));
        } else if let Some(name) = name(line).map_err(|what| (at, what))? {
            names.push((at, name));
        }
    }
    match (hunk.is_open(), names.is_empty()) {
        (true, _) => Err((lines, "it ends within a hunk".to_owned())),
        (_, true) => Err((1, "it is no unified diff".to_owned())),
        _ => Ok(names),
    }
}

/// The file that a line names, if it does, as it is called in the tree.
fn name(line: &[u8]) -> Result<Option<TreePath>, String> {
    let mark = NAMES.iter().find(|(mark, _)| line.starts_with(mark.as_bytes()));
    let Some((mark, has_prefix)) = mark else { return Ok(None) };
    // Behind a tab stands the time.
    let name = line[mark.len()..].split(|byte| *byte == b'\t').next().unwrap_or_default().trim_ascii();
    if name == b"/dev/null" {
        return Ok(None);
    }
    if name.starts_with(b"\"") {
        return Err(format!("the name {} is quoted, which is not supported", name.escape_ascii()));
    }
    let whole = TreePath::parse(name).map_err(|error| error.to_string())?;
    let inside = match whole.as_str().split_once('/') {
        Some((_, inside)) if *has_prefix => {
            TreePath::parse(inside.as_bytes()).map_err(|error| error.to_string())?
        }
        None if *has_prefix => {
            return Err(format!("`{}` has no directory in front, as `a/` and `b/` of git", whole.as_str()));
        }
        _ => whole,
    };
    Ok(Some(inside))
}

/// How many lines of a hunk are to come.
#[derive(Default)]
struct Hunk {
    old: u64,
    new: u64,
}

impl Hunk {
    /// Reads `@@ -START[,COUNT] +START[,COUNT] @@`.
    fn parse(line: &[u8]) -> Option<Self> {
        let text =
            std::str::from_utf8(line.strip_prefix(b"@@ -")?.split(|byte| *byte == b'@').next()?).ok()?;
        let (old, new) = text.trim_end().split_once(" +")?;
        let count = |range: &str| match range.split_once(',') {
            Some((_, count)) => count.parse().ok(),
            None => Some(1),
        };
        Some(Hunk { old: count(old)?, new: count(new)? })
    }

    fn is_open(&self) -> bool {
        self.old > 0 || self.new > 0
    }

    /// Counts a line of the hunk.
    fn take(&mut self, line: &[u8]) -> Result<(), String> {
        let (old, new) = match line.first() {
            // Some mailers drop the space of an empty line.
            None | Some(b' ' | b'\t' | b'\r') => (1, 1),
            Some(b'-') => (1, 0),
            Some(b'+') => (0, 1),
            Some(b'\\') => (0, 0),
            Some(_) => return Err("a hunk has fewer lines than its head says".to_owned()),
        };
        let left = self.old.checked_sub(old).zip(self.new.checked_sub(new));
        (self.old, self.new) = left.ok_or("a hunk has other lines than its head says")?;
        Ok(())
    }
}
