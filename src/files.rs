//! Writing small files so that they are whole or not there.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use tempfile::NamedTempFile;

/// Puts a file of `content` in place of what is at `path`, through a temporary file beside it.
///
/// # Errors
/// When the file cannot be written; then what was there is still there.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = beside(path)?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}

/// A hidden temporary file in the directory of `path`, whose name it can take when it is whole.
/// It is removed when it is dropped.
///
/// # Errors
/// When the file cannot be made.
pub fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix: OsString =
        [".".as_ref(), path.file_name().unwrap_or_default(), ".".as_ref()].into_iter().collect();
    // The umask takes away from the mode what the user does not want. `tempfile_in` would tell the
    // random name in its errors.
    let open = |path: &Path| File::options().read(true).write(true).create_new(true).mode(0o666).open(path);
    tempfile::Builder::new().prefix(&prefix).suffix(".part").make_in(dir, open)
}
