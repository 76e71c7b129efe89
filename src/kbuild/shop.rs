//! The directory that a kernel is built in, which outlives the build.
//!
//! ```text
//!   <workplace>/out/             O= of make: .config, objects, programs, Image
//!              /out/factory/<m>/ module <m> from outside the tree, while the key is there
//!              /staging/         what make installs, until it is packed
//!              /build.log        all that make said
//!              /unfinished       there from before the first call of make until after the last
//!              /started          written when the last build began
//! ```
//! Make goes on where it was when a build failed or was interrupted, since it removes what it was just
//! making. When it was killed it could not: then whatever is newer than the note of how it was made is
//! removed.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use walkdir::WalkDir;

use super::BuildError;
use super::recipe::has_debug_info;
use crate::interrupt;
use crate::kconfig::{Config, Value};
use crate::store::Workplace;
use crate::units::{Bytes, MIB};

/// Characters that the kernel's Makefiles, or make itself, do not bear in the names of directories.
const HOSTILE: &[char] =
    &[' ', '\t', '\n', ':', '$', '#', '%', '\'', '"', '\\', '`', '&', ';', '(', ')', '*', '?'];

/// A build tree, in use.
pub(super) struct Shop {
    place: Workplace,
}

impl Shop {
    /// Makes `place` ready for a kernel of this configuration; empties it before when `is_clean`.
    pub(super) fn open(place: Workplace, text: &str, is_clean: bool) -> Result<Self, BuildError> {
        if is_clean {
            place.clear()?;
        }
        let shop = Shop { place };
        bear(shop.place.dir())?;
        let out = shop.out();
        fs::create_dir_all(&out).map_err(BuildError::on("making", &out))?;
        if shop.mark().exists() {
            repair(&out)?;
        }
        shop.check_space(&Config::parse(text))?;
        shop.set_config(text)?;
        let log = shop.log();
        fs::write(&log, "").map_err(BuildError::on("writing", &log))?;
        for mark in [shop.mark(), started(&shop.place)] {
            fs::write(&mark, "").map_err(BuildError::on("writing", &mark))?;
        }
        Ok(shop)
    }

    /// Removes all that was built, since it is of no use to anybody.
    pub(super) fn discard(self) -> Result<(), BuildError> {
        Ok(self.place.clear()?)
    }

    /// Notes that all calls of make have come to their end.
    pub(super) fn close(self) -> Result<(), BuildError> {
        let (staging, mark) = (self.staging(), self.mark());
        remove_dir(&staging)?;
        fs::remove_file(&mark).map_err(BuildError::on("removing", &mark))
    }

    /// Where make builds.
    pub(super) fn out(&self) -> PathBuf {
        self.place.dir().join("out")
    }

    /// Where what make installs is put together.
    pub(super) fn staging(&self) -> PathBuf {
        self.place.dir().join("staging")
    }

    /// All that make said.
    pub(super) fn log(&self) -> PathBuf {
        self.place.dir().join("build.log")
    }

    /// Whether nothing has been made here before, not even a part.
    pub(super) fn is_new(&self) -> bool {
        !self.out().join("init").exists()
    }

    fn mark(&self) -> PathBuf {
        self.place.dir().join("unfinished")
    }

    /// Empties the directory that things are put together in.
    pub(super) fn clear_staging(&self) -> Result<(), BuildError> {
        let staging = self.staging();
        remove_dir(&staging)?;
        fs::create_dir(&staging).map_err(BuildError::on("making", &staging))
    }

    /// The `.config` that make uses.
    pub(super) fn config(&self) -> Result<String, BuildError> {
        let path = self.out().join(".config");
        fs::read_to_string(&path).map_err(BuildError::on("reading", &path))
    }

    /// The file is only written when it changes: a new one has make look at every option again.
    fn set_config(&self, text: &str) -> Result<(), BuildError> {
        if self.config().is_ok_and(|now| now == text) {
            return Ok(());
        }
        let path = self.out().join(".config");
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(self.out())?;
            file.write_all(text.as_bytes())?;
            file.persist(&path).map(drop).map_err(io::Error::from)
        };
        write().map_err(BuildError::on("writing", &path))
    }

    /// What an earlier build left there need not fit in again.
    fn check_space(&self, config: &Config) -> Result<(), BuildError> {
        let dir = self.place.dir();
        let files =
            WalkDir::new(dir).into_iter().filter_map(Result::ok).filter_map(|entry| entry.metadata().ok());
        let there = Bytes(files.filter(fs::Metadata::is_file).map(|file| file.len()).sum());
        let needs = Bytes(need(config).0.saturating_sub(there.0));
        let left = free(dir).map_err(BuildError::on("reading", dir))?;
        if left < needs {
            return Err(BuildError::Space { path: dir.to_owned(), needs, left });
        }
        Ok(())
    }

    /// The error, or that of a full disk where that is why.
    pub(super) fn judge(&self, error: BuildError) -> BuildError {
        let dir = self.place.dir();
        match free(dir) {
            Ok(left) if left.0 < FULL => {
                BuildError::Full { path: dir.to_owned(), left, source: Box::new(error) }
            }
            _ => error,
        }
    }
}

/// When the last build in `place` began, if there was one.
pub(super) fn last_began(place: &Workplace) -> Option<SystemTime> {
    fs::metadata(started(place)).and_then(|mark| mark.modified()).ok()
}

fn started(place: &Workplace) -> PathBuf {
    place.dir().join("started")
}

/// Bytes left on a disk that is called full: no object of the kernel's fits any more, while what failed
/// may just have been removed.
const FULL: u64 = 4 * MIB;

/// What a build tree of this configuration takes, with its products, roughly. A small kernel of 6.12 with
/// 840 options came to 162 MB, and 113 MB of products and what they were packed from.
fn need(config: &Config) -> Bytes {
    let count = |wanted: Value| config.iter().filter(|(_, value)| **value == wanted).count() as u64;
    let plain = 192 * MIB + count(Value::Yes) * (128 << 10) + count(Value::Module) * (512 << 10);
    Bytes(if has_debug_info(config) { plain * 8 } else { plain })
}

/// What is left for us on the file system of `dir`.
fn free(dir: &Path) -> io::Result<Bytes> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(Bytes(stat.f_bavail.saturating_mul(stat.f_frsize)))
}

/// Whether make can work in a directory of that name.
pub(super) fn bear(dir: &Path) -> Result<(), BuildError> {
    match dir.to_str() {
        Some(name) if !name.contains(HOSTILE) => Ok(()),
        _ => Err(BuildError::Directory(dir.to_owned())),
    }
}

/// Removes what make was just making when it was killed: a file is whole when the note of how it was
/// made, `.<name>.cmd`, is not older.
fn repair(out: &Path) -> Result<(), BuildError> {
    tracing::warn!(path = %out.display(), "the last build was killed: what it was making is made anew");
    for entry in WalkDir::new(out).into_iter().filter_map(Result::ok) {
        interrupt::check()?;
        let name = entry.file_name().to_str();
        let Some(name) = name.and_then(|name| name.strip_prefix('.')?.strip_suffix(".cmd")) else { continue };
        let target = entry.path().with_file_name(name);
        let time = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
        let is_newer = |made: SystemTime| time(entry.path()).is_some_and(|noted| made > noted);
        if time(&target).is_some_and(is_newer) {
            fs::remove_file(&target).map_err(BuildError::on("removing", &target))?;
        }
    }
    Ok(())
}

pub(super) fn remove_dir(dir: &Path) -> Result<(), BuildError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BuildError::on("removing", dir)(error)),
        _ => Ok(()),
    }
}

/// That make has left `asked` as it was; else the first line that it has changed.
pub(super) fn check_config(asked: &str, got: &str) -> Result<(), BuildError> {
    let (mut asked, mut got) = (asked.lines(), got.lines());
    for line in 1.. {
        match (asked.next(), got.next()) {
            (None, None) => break,
            (asked, got) if asked == got => {}
            (asked, got) => {
                let text = |line: Option<&str>| line.unwrap_or("the end").to_owned();
                return Err(BuildError::Config { line, asked: text(asked), got: text(got) });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;
    use crate::store::Store;

    fn shop(dir: &Path, text: &str) -> Result<Shop, BuildError> {
        Shop::open(Store::open(dir).unwrap().workplace("rpi-1").unwrap(), text, false)
    }

    #[test]
    fn a_configuration_that_stays_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = shop(dir.path(), "CONFIG_A=y\n").unwrap().out().join(".config");
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
        let time = || fs::metadata(&file).unwrap().modified().unwrap();
        drop(shop(dir.path(), "CONFIG_A=y\n").unwrap());
        assert_eq!(time(), old);
        assert_eq!(shop(dir.path(), "CONFIG_B=y\n").unwrap().config().unwrap(), "CONFIG_B=y\n");
        assert_ne!(time(), old);
    }

    #[test]
    fn after_a_kill_what_is_newer_than_its_note_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let killed = shop(dir.path(), "").unwrap();
        let out = killed.out();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let put = |name: &str, time| {
            fs::write(out.join(name), "").unwrap();
            File::options().write(true).open(out.join(name)).unwrap().set_modified(time).unwrap();
        };
        for (name, target) in [("half.o", time + Duration::from_nanos(1)), ("whole.o", time), ("free", time)]
        {
            put(name, target);
        }
        for note in [".half.o.cmd", ".whole.o.cmd", ".gone.o.cmd"] {
            put(note, time);
        }
        drop(killed);
        let next = shop(dir.path(), "").unwrap();
        let has = |name: &str| out.join(name).exists();
        assert_eq!((has("half.o"), has("whole.o"), has("free")), (false, true, true));
        put("half.o", time + Duration::from_secs(1));
        next.close().unwrap();
        drop(shop(dir.path(), "").unwrap());
        assert!(has("half.o"), "a build that came to its end needs no repair");
    }

    #[test]
    fn directories_that_make_does_not_bear_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = shop(&dir.path().join("my store"), "").err().unwrap();
        assert!(matches!(error, BuildError::Directory(path) if path.ends_with("my store/build/rpi-1")));
    }

    #[test]
    fn a_configuration_that_make_changed_is_told_by_its_first_line() {
        check_config("a\nb\n", "a\nb\n").unwrap();
        let error = |asked, got| check_config(asked, got).unwrap_err().to_string();
        assert!(error("a\nb\nc\n", "a\nB\nC\n").contains("line 2: `B` instead of `b`"));
        assert!(error("a\n", "a\nb\n").contains("line 2: `b` instead of `the end`"));
    }

    #[test]
    fn larger_configurations_need_more_room() {
        let config = |count: usize, value: &str| -> Config {
            let lines: String = (0..count).map(|n| format!("CONFIG_A{n}={value}\n")).collect();
            Config::parse(&lines)
        };
        let tiny = need(&config(840, "y"));
        assert!(tiny > Bytes::mib(100) && tiny < Bytes::mib(300), "{tiny}");
        assert!(need(&config(840, "m")) > tiny);
        let mut debug = "CONFIG_DEBUG_INFO=y\n".to_owned();
        debug.extend((0..840).map(|n| format!("CONFIG_A{n}=y\n")));
        assert!(need(&Config::parse(&debug)) > Bytes::mib(1000));
    }
}
