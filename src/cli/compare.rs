//! What tells images apart.

use std::path::PathBuf;

use clap::Args;

/// `factory diff`
#[derive(Debug, Args)]
#[command(after_help = "\
Partition by partition and file by file; in files that differ, the members of an initramfs, the files of a \
file system or squashfs (by `unsquashfs`), the options of a kernel that has its configuration, and the packages \
of a Debian system. Where bytes differ and no file does, the structure that they belong to is named.

  ~ changed   + only in the second   - only in the first

Exit codes, as those of diff(1): 0 identical, 1 they differ, 2 they could not be compared.")]
pub struct Diff {
    /// An image or a device; images may be packed with zstd, gzip or xz.
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// Another one.
    #[arg(value_name = "B")]
    pub b: PathBuf,
    /// Print all that differs as JSON.
    #[arg(long)]
    pub json: bool,
}
