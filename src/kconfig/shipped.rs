//! The fragments that come with the program: `kernel-fragments/`.

/// Their names and texts. Which of them go together is in `kernel-fragments/README.md`.
pub const SHIPPED: &[(&str, &str)] = &[
    ("arm64-virt.fragment", include_str!("../../kernel-fragments/arm64-virt.fragment")),
    ("container.fragment", include_str!("../../kernel-fragments/container.fragment")),
    ("modules-xz.fragment", include_str!("../../kernel-fragments/modules-xz.fragment")),
    ("modules-zstd.fragment", include_str!("../../kernel-fragments/modules-zstd.fragment")),
    ("rpi-mainline.fragment", include_str!("../../kernel-fragments/rpi-mainline.fragment")),
    ("rpi-overrides.fragment", include_str!("../../kernel-fragments/rpi-overrides.fragment")),
    ("tiny-rpi.fragment", include_str!("../../kernel-fragments/tiny-rpi.fragment")),
    ("tiny-virt.fragment", include_str!("../../kernel-fragments/tiny-virt.fragment")),
];

/// The text of the shipped fragment with this name.
pub fn shipped(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kconfig::{Config, Fragment, merge, missing, profile};

    /// Fragments that go together, in their order.
    const TOGETHER: &[&[&str]] = &[
        &["container.fragment", "arm64-virt.fragment"],
        &["container.fragment", "rpi-mainline.fragment"],
        &["container.fragment", "rpi-overrides.fragment"],
        &["container.fragment", "arm64-virt.fragment", "modules-xz.fragment"],
        &["container.fragment", "rpi-mainline.fragment", "modules-zstd.fragment"],
        &["tiny-virt.fragment"],
        &["tiny-virt.fragment", "tiny-rpi.fragment"],
    ];

    fn parsed(names: &[&str]) -> Vec<Fragment> {
        names.iter().map(|name| Fragment::parse(name, shipped(name).unwrap()).unwrap()).collect()
    }

    #[test]
    fn all_that_go_together_do_and_no_other_file_is_in_their_directory() {
        for names in TOGETHER {
            merge(&parsed(names)).unwrap_or_else(|problems| panic!("{names:?}:\n{problems}"));
        }
        let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
        assert!(names.iter().all(|name| TOGETHER.iter().any(|together| together.contains(name))));
        let files = std::fs::read_dir("kernel-fragments").unwrap();
        let files = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<String> = files.filter(|name| name.ends_with(".fragment")).collect();
        files.sort_unstable();
        assert_eq!(files, names);
    }

    #[test]
    fn the_one_for_containers_asks_for_what_containers_and_kubernetes_need() {
        let asked = merge(&parsed(&["container.fragment"])).unwrap().apply("");
        for name in ["containers", "kubernetes"] {
            let lacking = missing(profile(name).unwrap(), &Config::parse(&asked));
            assert!(lacking.is_empty(), "{name}: {lacking:?}");
        }
    }
}
