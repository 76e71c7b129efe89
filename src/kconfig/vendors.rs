//! Options that only the Raspberry Pi's own tree has: `kernel-fragments/vendor-symbols.txt`.

const LIST: &str = include_str!("../../kernel-fragments/vendor-symbols.txt");

/// Whether the Raspberry Pi's own tree has this option, and mainline did not when the list was made.
pub fn is_vendors(symbol: &str) -> bool {
    let mut names = LIST.lines().filter(|line| !line.starts_with('#'));
    names.any(|name| match name.strip_suffix('*') {
        Some(start) => symbol.starts_with(start),
        None => symbol == name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vendors_options_are_known_by_name_and_by_family() {
        assert!(is_vendors("BCM_VCIO") && is_vendors("SND_BCM2708_SOC_RPI_DAC"));
        assert!(!is_vendors("BCM2835_MBOX") && !is_vendors("BCM_VCIO_X") && !is_vendors(""));
        assert!(!is_vendors("SND_BCM2708"));
        let names: Vec<&str> = LIST.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(names.is_sorted(), "the list is sorted");
    }
}
