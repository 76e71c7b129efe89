//! Versions of Debian packages and their order (Debian Policy 5.6.12, deb-version(7)).
//!
//! ```text
//! [epoch:]upstream[-revision]       1:2.12-9+deb13u2
//! ```

use std::cmp::Ordering;

/// Compares two versions as `dpkg --compare-versions` does.
pub fn compare(left: &str, right: &str) -> Ordering {
    let (left, right) = (Version::parse(left), Version::parse(right));
    left.epoch
        .cmp(&right.epoch)
        .then_with(|| compare_part(left.upstream, right.upstream))
        .then_with(|| compare_part(left.revision, right.revision))
}

struct Version<'a> {
    epoch: u64,
    upstream: &'a str,
    revision: &'a str,
}

impl<'a> Version<'a> {
    fn parse(text: &'a str) -> Self {
        let (epoch, rest) = match text.split_once(':') {
            // An epoch that is no number cannot be in an archive; any order will do.
            Some((epoch, rest)) => (epoch.parse().unwrap_or(u64::MAX), rest),
            None => (0, text),
        };
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Version { epoch, upstream, revision }
    }
}

/// Text and numbers in turns: text byte by byte with letters before the rest and `~` before all,
/// even the end; numbers by value.
fn compare_part(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while !left.is_empty() || !right.is_empty() {
        let order = compare_text(&mut left, &mut right).then_with(|| compare_number(&mut left, &mut right));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn compare_text(left: &mut &[u8], right: &mut &[u8]) -> Ordering {
    let (one, two) = (take(left, |byte| !byte.is_ascii_digit()), take(right, |byte| !byte.is_ascii_digit()));
    let weight = |text: &[u8], at: usize| match text.get(at) {
        None => 0,
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    };
    let length = one.len().max(two.len());
    (0..length)
        .map(|at| weight(one, at).cmp(&weight(two, at)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn compare_number(left: &mut &[u8], right: &mut &[u8]) -> Ordering {
    let number = |side: &mut &'_ [u8]| {
        let digits = take(side, u8::is_ascii_digit);
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits[zeros..].to_vec()
    };
    // Without zeros in front, the longer number is the greater one, however long.
    let (one, two) = (number(left), number(right));
    one.len().cmp(&two.len()).then_with(|| one.cmp(&two))
}

/// Takes the bytes in front of `text` that `belong`.
fn take<'a>(text: &mut &'a [u8], belong: impl Fn(&u8) -> bool) -> &'a [u8] {
    let end = text.iter().position(|byte| !belong(byte)).unwrap_or(text.len());
    let (taken, rest) = text.split_at(end);
    *text = rest;
    taken
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// What dpkg says; it is asked once about each pair and each relation.
    fn dpkg(left: &str, right: &str) -> Ordering {
        let is = |relation: &str| {
            let status = Command::new("dpkg").args(["--compare-versions", left, relation, right]).output();
            status.expect("`dpkg` is installed").status.success()
        };
        if is("eq") {
            Ordering::Equal
        } else if is("lt") {
            Ordering::Less
        } else {
            Ordering::Greater
        }
    }

    #[test]
    fn versions_are_in_the_order_of_the_manual() {
        let ascending = [
            "~~",
            "~~a",
            "~",
            "",
            "0.9",
            "1~rc1-1",
            "1",
            "1-0.1",
            "1-1",
            "1-1+b1",
            "1-1.1",
            "1-10",
            "1.0~beta1",
            "1.0-1",
            "1.0+dfsg-1",
            "1.2",
            "1.10",
            "6.12.9-1",
            "6.12.107+deb13-1",
            "20250101",
            "1:0.1",
        ];
        for (at, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                assert_eq!(compare(left, right), at.cmp(&other), "{left} {right}");
            }
        }
    }

    #[test]
    fn dpkg_agrees_on_what_archives_hold() {
        let versions = [
            "2.12-9+deb13u2",
            "1:1.37.0-6+b9",
            "1:1.37.0-6",
            "6.12.107-1",
            "0:6.12.107-1",
            "1.0-1~bpo12+1",
            "1.51~1+deb13u1+16.1-2~deb13u1",
            "1.0-00",
            "1.0",
            "1.0a",
            "1.0+",
            "1.0.",
        ];
        for left in versions {
            for right in versions {
                assert_eq!(compare(left, right), dpkg(left, right), "{left} {right}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn dpkg_agrees_on_odd_versions(
            left in "([0-9]:)?[0-9][0-9a-c.+~]{0,6}(-[0-9a-c.+~]{1,4})?",
            right in "([0-9]:)?[0-9][0-9a-c.+~]{0,6}(-[0-9a-c.+~]{1,4})?",
        ) {
            prop_assert_eq!(compare(&left, &right), dpkg(&left, &right));
        }
    }

    proptest! {
        #[test]
        fn the_order_has_no_contradictions(one in "[0-9a~.+:-]{0,8}", two in "[0-9a~.+:-]{0,8}", three in "[0-9a~.+:-]{0,8}") {
            prop_assert_eq!(compare(&one, &two), compare(&two, &one).reverse());
            if compare(&one, &two).is_le() && compare(&two, &three).is_le() {
                prop_assert!(compare(&one, &three).is_le());
            }
        }
    }
}
