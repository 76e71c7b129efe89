//! The colours of the page, in light and in dark, as variables of CSS.

use std::fmt::Write as _;

/// A colour in light and in dark, as `#rrggbb`.
type Pair = [&'static str; 2];

/// Colours of text, and of what is behind it.
const BASE: &[(&str, Pair)] = &[
    ("page", ["#f6f8fa", "#0f1418"]),
    ("card", ["#ffffff", "#182027"]),
    ("ink", ["#17212b", "#e9eff4"]),
    ("quiet", ["#51606e", "#a3b1bd"]),
    ("line", ["#d5dde4", "#2f3b45"]),
    ("good", ["#166534", "#7ddb9b"]),
    ("bad", ["#a11b1b", "#ff9d94"]),
    ("stored", ["#51606e", "#8fa0ae"]),
];

/// Pairs of colours for partitions and directories, strong for what is used, weak for what is free. The last
/// is for what has no name.
const HUES: &[(Pair, Pair)] = &[
    (["#a2cbf5", "#1f5687"], ["#e4f0fc", "#182c3e"]),
    (["#a5dba9", "#28623a"], ["#e5f5e6", "#18301f"]),
    (["#f8c78e", "#7c4a12"], ["#fdf0e0", "#382713"]),
    (["#cfbbf3", "#5a4090"], ["#f2ecfc", "#2b2340"]),
    (["#95d9d1", "#155f59"], ["#dff5f2", "#12302e"]),
    (["#f5b8cd", "#823352"], ["#fdeaf1", "#3a1f2b"]),
    (["#e8d880", "#665809"], ["#faf5dc", "#302b0f"]),
    (["#c6cfd7", "#46515b"], ["#edf1f4", "#222a31"]),
];

/// The class of the colours of what has no name.
pub(super) const NAMELESS: usize = HUES.len() - 1;

/// The class of the colours of the partition or directory number `index`.
pub(super) fn hue(index: usize) -> usize {
    index % NAMELESS
}

/// All colours as a style sheet.
pub(super) fn css() -> String {
    let [light, dark] = [0, 1].map(variables);
    format!(
        ":root {{ color-scheme: light dark; }}\n{light}@media screen and (prefers-color-scheme: dark) {{\n{dark}}}\n"
    )
}

fn variables(scheme: usize) -> String {
    let mut text = ":root {".to_owned();
    for (name, pair) in BASE {
        let _ = write!(text, " --{name}: {};", pair[scheme]);
    }
    text.push_str(" }\n");
    for (index, (used, free)) in HUES.iter().enumerate() {
        let _ = writeln!(text, ".hue{index} {{ --used: {}; --free: {}; }}", used[scheme], free[scheme]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance (WCAG 2.1, "relative luminance").
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
        (one / other).max(other / one)
    }

    fn base(name: &str) -> Pair {
        BASE.iter().find(|(known, _)| *known == name).unwrap().1
    }

    #[test]
    fn text_is_seen_on_everything_that_it_stands_on() {
        for scheme in [0, 1] {
            for text in ["ink", "quiet", "good", "bad"] {
                for behind in ["page", "card"] {
                    let found = contrast(base(text)[scheme], base(behind)[scheme]);
                    assert!(found >= 4.5, "{text} on {behind} has {found:.1} in {scheme}");
                }
            }
            for (used, free) in HUES {
                for behind in [used[scheme], free[scheme]] {
                    let found = contrast(base("ink")[scheme], behind);
                    assert!(found >= 4.5, "text on {behind} has {found:.1}");
                }
            }
        }
    }

    /// Graphics need 3 to 1 against what they stand on (WCAG 2.1, 1.4.11).
    #[test]
    fn the_strip_of_what_is_stored_is_seen() {
        for scheme in [0, 1] {
            assert!(contrast(base("stored")[scheme], base("card")[scheme]) >= 3.0);
        }
    }
}
