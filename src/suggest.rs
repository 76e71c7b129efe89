//! The nearest known name to one that is not known.

/// The candidate that is nearest to `given`, if any is near enough to be what was meant: at most
/// a third of its characters differ.
pub fn nearest<'a>(given: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (distance(given, candidate), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= candidate.len().max(given.len()))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap neighbours) that make `b` of `a`: optimal string alignment.
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
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
    fn far_names_are_not_offered() {
        assert_eq!(nearest("vresion", ["name", "version"].into_iter()), Some("version"));
        assert_eq!(nearest("colour", ["name", "version"].into_iter()), None);
    }
}
