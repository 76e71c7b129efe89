//! The A/B boot state of factory images: slots, the files that boot loaders read, and what they
//! may hold.
//!
//! This crate owns the whole contract between a boot loader, the update agent on the device and
//! the builder that writes the first state. It knows nothing of the builder.

pub mod grub;
pub mod grubenv;
pub mod rpi;
pub mod slot;

pub use slot::Slot;
