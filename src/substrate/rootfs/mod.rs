//! The root file system, from layers.

pub mod dir;
