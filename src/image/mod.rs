//! Laying out disks and file systems, and writing them.

pub mod extents;
