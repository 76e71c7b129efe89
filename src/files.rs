//! Writing small files so that they are whole or not there.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Puts a file of `content` in place of what is at `path`, through a temporary file beside it.
///
/// # Errors
/// When the file cannot be written; then what was there is still there.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // The umask takes away from this mode what the user does not want.
    let permissions = std::fs::Permissions::from_mode(0o666);
    let prefix = format!(".{name}.");
    let mut file = tempfile::Builder::new().prefix(&prefix).permissions(permissions).tempfile_in(dir)?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}
