//! What differs between two images, down to the file, and to the byte where no file differs.
//!
//! ```text
//!   A, B --bytes--> the same: identical, and nothing else is looked at
//!                   others: table, gaps, partitions
//!                             partition --> file system: fields, files
//!                                 file --> file system, initramfs, kernel, packages, configuration
//! ```
//! Whatever is damaged is told where it is, and the rest is compared nevertheless.

mod bytes;
mod disk;
mod filesystem;
mod findings;
mod initramfs;
mod inside;
mod kernel;
mod model;
mod open;
mod packages;
mod render;
mod squashfs;
mod table;
mod tree;

use std::io;
use std::path::{Path, PathBuf};

pub use model::{Comparison, Difference, First, Place, Problem, Side, What};
pub use render::render;

use crate::formats::read::ReadError;
use crate::interrupt::Interrupted;
use crate::volume::{Disk, OpenError, Region, Table, TableError};
use findings::Findings;

/// Why two images cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// One cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// One cannot be read, or unpacked.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It cannot be unpacked to a temporary file.
    #[error("unpacking `{}` to a temporary file", path.display())]
    Temporary {
        /// The image.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The images cannot be read to where they differ.
    #[error("comparing `{}` with `{}`", a.display(), b.display())]
    Compare {
        /// The first.
        a: PathBuf,
        /// The second.
        b: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// Compares the images or devices at `a` and `b`, which are only read. Packed ones are unpacked to
/// temporary files with holes.
///
/// # Errors
/// When one cannot be opened or read, or the user asked to stop. What is wrong inside of one is in the
/// [`Comparison`].
pub fn compare(a: &Path, b: &Path) -> Result<Comparison, DiffError> {
    let (one, other) = (open::image(a)?, open::image(b)?);
    let failed = |source| DiffError::Compare { a: a.to_owned(), b: b.to_owned(), source };
    let first = bytes::next(one.region(), other.region(), 0).map_err(failed)?;
    let mut comparison = Comparison {
        a: a.display().to_string(),
        b: b.display().to_string(),
        identical: first.is_none() && one.size() == other.size(),
        first: None,
        differences: Vec::new(),
        problems: Vec::new(),
    };
    if !comparison.identical {
        let mut found = Findings::default();
        let table = whole(&mut found, &one, &other)?;
        comparison.first = first.map(|at| disk::first(&one, table.as_ref(), at));
        (comparison.differences, comparison.problems) = (found.differences, found.problems);
    }
    Ok(comparison)
}

/// Compares all of two images that differ; the table of the first, where there is one.
fn whole(found: &mut Findings, a: &Disk, b: &Disk) -> Result<Option<Table>, Interrupted> {
    let place = Place::new(disk::DISK);
    let tables = [a.table(), b.table()];
    let regions = [a.region(), b.region()];
    match &tables {
        [Ok(one), Ok(other)] => disk::compare(found, [a, b], [one, other])?,
        // One was lost: the other says where everything is.
        [Ok(table), Err(_)] | [Err(_), Ok(table)] if a.size() == b.size() => {
            lost(found, &place, &tables);
            disk::compare(found, [a, b], [table, table])?;
        }
        _ => {
            found.compare(&place, "size", a.size(), b.size());
            lost(found, &place, &tables);
            without_table(found, regions)?;
        }
    }
    // Nothing that differs goes by in silence.
    if found.differences.is_empty()
        && let Some(Some(at)) = found.tried(&place, None, bytes::next(regions[0], regions[1], 0))?
    {
        found.bytes(&place, "bytes", at, regions);
    }
    let [table, _] = tables;
    Ok(table.ok())
}

/// Tells of a table that only one of the images has.
fn lost(found: &mut Findings, place: &Place, tables: &[Result<Table, TableError>; 2]) {
    let told = |table: &Result<Table, TableError>| match table {
        Ok(table) => table.table.scheme.to_string(),
        Err(_) => "none".to_owned(),
    };
    found.compare(place, "table", told(&tables[0]), told(&tables[1]));
    let has_one = tables.iter().any(Result::is_ok);
    for (side, table) in Side::BOTH.into_iter().zip(tables) {
        if let Err(error) = table
            && has_one
        {
            found.problem(place.clone(), side, error.to_string());
        }
    }
}

/// Compares a single file system, or a single file.
fn without_table(found: &mut Findings, regions: [&Region; 2]) -> Result<(), Interrupted> {
    if regions.iter().all(|region| filesystem::kind(region).is_some()) {
        return filesystem::compare(found, &Place::default(), regions);
    }
    inside::compare(found, &Place::default(), "", regions)
}
