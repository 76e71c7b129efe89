//! The nearest known names to one that is not known.

/// Most names that are offered.
const MOST: usize = 3;

/// The candidates that `given` may have been meant to be, nearest first, three at the most: those in
/// which no more than a third of the characters of `given` differ.
pub fn nearest<'a>(given: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let limit = (given.len() / 3).max(1);
    let mut near: Vec<(usize, &str)> = candidates
        .filter(|candidate| candidate.len().abs_diff(given.len()) <= limit)
        .map(|candidate| (distance(given, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    near.sort_unstable();
    near.dedup();
    let best = near.first().map_or(0, |(distance, _)| *distance);
    near.into_iter().filter(|(distance, _)| *distance <= best + 1).map(|(_, name)| name).take(MOST).collect()
}

/// Edits (insert, delete, replace, swap neighbours) that make `b` of `a`: optimal string alignment.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_one_edit() {
        assert_eq!(distance("vresion", "version"), 1);
        assert_eq!(distance("verson", "version"), 1);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn near_names_are_offered_and_far_ones_are_not() {
        assert_eq!(nearest("vresion", ["name", "version"].into_iter()), ["version"]);
        assert_eq!(nearest("ext5", ["ext4", "ext2", "nvme"].into_iter()), ["ext2", "ext4"]);
        assert!(nearest("colour", ["name", "version"].into_iter()).is_empty());
    }
}
