//! The C interface of `bootenv`. What C programs are told is in `include/bootenv.h`, which is made of the
//! comments in here.
//!
//! ```text
//!   ffi      what C calls: pointers are looked at here and nowhere else
//!    |
//!   handle   a device, the message of its last error, and panics that are caught
//!    |
//!   types    structs and enums of the header     codes   numbers of errors
//! ```

pub mod codes;
pub mod ffi;
pub mod handle;
pub mod types;

#[cfg(test)]
#[path = "../../tests/support/mod.rs"]
#[allow(clippy::unwrap_used, reason = "a test fails where it stands")]
mod support;
