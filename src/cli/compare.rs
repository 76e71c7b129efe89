//! What tells images apart.

use std::path::PathBuf;

use clap::Args;

use super::Project;

/// `factory diff`
#[derive(Debug, Args)]
#[command(after_help = "\
Partition by partition and file by file; in files that differ, the members of an initramfs, the files of a \
file system or squashfs (by `unsquashfs`), the options of a kernel that has its configuration, and the packages \
of a Debian system. Where bytes of a file system differ and nothing that was named explains it, the structures that \
they belong to are named.

  ~ changed   + only in the second   - only in the first

Exit codes, as those of diff(1): 0 identical, 1 they differ, 2 they could not be compared.")]
pub struct Diff {
    /// An image or a device; images may be packed with zstd, gzip or xz, or be qcow2.
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// Another one.
    #[arg(value_name = "B")]
    pub b: PathBuf,
    /// Print all that differs as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `factory repro`
#[derive(Debug, Args)]
#[command(after_help = "\
The image is built twice by this program: as it would be here, and from a copy of the project under another \
directory, order of files, times of files, user, umask, time zone, locale, home, and number of processors and \
downloads. What this machine cannot vary is said. Both images are gone afterwards; factory.lock is written as by \
`factory image`.

Exit codes, as those of diff(1): 0 identical, 1 they differ, 2 they could not be built or compared.")]
pub struct Repro {
    /// The project.
    #[command(flatten)]
    pub project: Project,
    /// Take everything from the store; nothing is downloaded.
    #[arg(long)]
    pub offline: bool,
    /// Keep both images when they differ, beside where the image would be.
    #[arg(long)]
    pub keep: bool,
    /// Print what was varied and what differs as JSON.
    #[arg(long)]
    pub json: bool,
}
