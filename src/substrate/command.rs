//! The device's command `bootenv`: a part of this program, so that making images takes nothing but it.

/// The bytes of the command, a static program for AArch64. `None` when this program was built without:
/// `.ci/bootenv` makes the command, and `FACTORY_BOOTENV` names it to the build.
pub fn built_in() -> Option<&'static [u8]> {
    let bytes: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bootenv"));
    (!bytes.is_empty()).then_some(bytes)
}
