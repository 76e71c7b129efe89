//! Names of kernel modules, and the patterns that stand for them.

/// The one spelling of a module's name or alias: `_` where a file name may have `-`. Sets of
/// characters, as in `[0-9]`, stay as they are.
pub fn canonical(name: &str) -> String {
    let mut in_set = false;
    let spell = |letter: char| {
        in_set = letter == '[' || (in_set && letter != ']');
        if letter == '-' && !in_set { '_' } else { letter }
    };
    name.chars().map(spell).collect()
}

/// The name of the module in the file at `path`, or `None` when it is not a module's file.
pub fn of_path(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    let stem = [".ko", ".ko.xz", ".ko.gz", ".ko.zst"].iter().find_map(|suffix| file.strip_suffix(suffix))?;
    Some(canonical(stem))
}

/// Whether an alias has characters that stand for others.
pub fn is_pattern(alias: &str) -> bool {
    alias.contains(['*', '?', '['])
}

/// Whether `name` matches `pattern`, with `*`, `?` and `[a-z]` or `[!a-z]` as in `fnmatch(3)`
/// without flags.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where to go on when a match fails: behind the last `*`, which then takes one byte more.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, n));
            continue;
        }
        let step = name.get(n).and_then(|&byte| match_one(&pattern[p..], byte));
        match (step, retry) {
            (Some(width), _) => (p, n) = (p + width, n + 1),
            (None, _) if n == name.len() && p == pattern.len() => return true,
            (None, Some((star, taken))) if taken < name.len() => {
                (p, n) = (star, taken + 1);
                retry = Some((star, taken + 1));
            }
            _ => return false,
        }
    }
}

/// Matches one byte against the front of a pattern; how many bytes of the pattern that took.
fn match_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern.first()? {
        b'?' => Some(1),
        b'[' => match_set(pattern, byte),
        literal => (*literal == byte).then_some(1),
    }
}

fn match_set(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let start = if negated { 2 } else { 1 };
    // A `]` that comes first is a member of the set.
    let end = pattern.iter().skip(start + 1).position(|&byte| byte == b']')? + start + 1;
    let mut set = &pattern[start..end];
    let mut found = false;
    while let [first, rest @ ..] = set {
        if let [b'-', last, rest @ ..] = rest {
            found |= (*first..=*last).contains(&byte);
            set = rest;
        } else {
            found |= *first == byte;
            set = rest;
        }
    }
    (found != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_as_fnmatch_does() {
        for (pattern, name, expected) in [
            ("virtio:d00000002v*", "virtio:d00000002v00001af4", true),
            ("pci:v*d*sv*sd*bc01sc08i02*", "pci:v00001B36d00000010sv1sd1bc01sc08i02", true),
            ("pci:v*d*sv*sd*bc01sc08i02*", "pci:v00001B36d00000010sv1sd1bc01sc07i02", false),
            ("usb:v?[0-9A-F]x", "usb:v1Bx", true),
            ("a[!b-d]e", "ace", false),
            ("a[]]e", "a]e", true),
            ("a[b", "a[b", false),
            ("**a*", "bca", true),
            ("", "", true),
            ("*", "", true),
            ("a", "", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_hyphen_is_an_underscore_except_in_a_set() {
        assert_eq!(canonical("fs-a[0-9]-b"), "fs_a[0-9]_b");
    }

    #[test]
    fn module_files_are_known_by_their_suffix() {
        assert_eq!(of_path("kernel/lib/crc-t10dif.ko.xz"), Some("crc_t10dif".into()));
        assert_eq!(of_path("kernel/Makefile"), None);
    }

    proptest! {
        #[test]
        fn any_pattern_is_matched_without_panic(pattern in "[ab*?\\[\\]!-]{0,12}", name in "[ab-]{0,12}") {
            let _ = matches(&pattern, &name);
        }

        #[test]
        fn a_name_matches_itself_and_any_part_cut_out_for_a_star(name in "[a-z:]{1,12}", from: usize, to: usize) {
            let (from, to) = (from % name.len(), to % name.len());
            prop_assert!(matches(&name, &name));
            let pattern = format!("{}*{}", &name[..from.min(to)], &name[from.max(to)..]);
            prop_assert!(matches(&pattern, &name));
        }
    }
}
