//! What fragments ask for together: the last one wins, as with `merge_config.sh`, but only where it says
//! that it means to.

use std::collections::{BTreeMap, BTreeSet};

use super::config::split;
use super::fragment::{Fragment, Setting};
use super::problem::{Fault, Problem, Problems};
use super::value::Value;

/// What is asked for a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The value that it should have.
    pub value: Value,
    /// The last fragment that asks for it, as it was named.
    pub fragment: String,
    /// Its line, from 1.
    pub line: u32,
    /// Why it overrides an earlier fragment, when it does.
    pub reason: Option<String>,
}

/// What is asked for all symbols.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests(Vec<(String, Request)>);

/// Puts fragments together, the later ones upon the earlier.
///
/// # Errors
/// Every line that contradicts an earlier fragment and is not marked as an override, and every one that
/// is marked and overrides nothing.
pub fn merge(fragments: &[Fragment]) -> Result<Requests, Problems> {
    let mut merged: BTreeMap<&str, (usize, Request)> = BTreeMap::new();
    let mut problems = Problems::default();
    let settings =
        fragments.iter().flat_map(|fragment| fragment.settings.iter().map(move |set| (fragment, set)));
    for (position, (fragment, setting)) in settings.enumerate() {
        let file = &fragment.name;
        let earlier = merged.get(setting.symbol.as_str()).map(|(_, request)| request);
        if let Some(fault) = fault(setting, earlier) {
            problems.0.push(Problem { file: file.clone(), line: setting.line, fault });
        }
        let Setting { value, line, reason, .. } = setting.clone();
        merged.insert(&setting.symbol, (position, Request { value, fragment: file.clone(), line, reason }));
    }
    let mut sorted: Vec<_> = merged.into_iter().collect();
    sorted.sort_by_key(|(_, (position, _))| *position);
    let requests = sorted.into_iter().map(|(symbol, (_, request))| (symbol.to_owned(), request));
    problems.or(Requests(requests.collect()))
}

/// What is wrong with a setting after what was asked `earlier`.
fn fault(setting: &Setting, earlier: Option<&Request>) -> Option<Fault> {
    let symbol = setting.symbol.clone();
    let other = earlier.filter(|earlier| !earlier.value.is_same(&setting.value));
    match (other, &setting.reason) {
        (Some(_), Some(_)) | (None, None) => None,
        (None, Some(_)) => Some(Fault::OverridesNothing(symbol)),
        (Some(other), None) => Some(Fault::Disagreement {
            symbol,
            value: setting.value.clone(),
            earlier: other.value.clone(),
            file: other.fragment.clone(),
            line: other.line,
        }),
    }
}

impl Requests {
    /// All symbols, without `CONFIG_`, in the order in which they were last asked for.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Request)> {
        self.0.iter().map(|(symbol, request)| (symbol.as_str(), request))
    }

    /// A `.config` text that says what `base` says, except where something else is asked for. Its settings
    /// and their order are those of `merge_config.sh -m`, without the comments of the fragments.
    ///
    /// Kconfig still has to complete it, exactly once: each time settles defaults that later ones keep.
    pub fn apply(&self, base: &str) -> String {
        let asked: BTreeSet<&str> = self.iter().map(|(symbol, _)| symbol).collect();
        let is_kept = |line: &&str| split(line).is_none_or(|(symbol, _)| !asked.contains(symbol));
        let kept = base.lines().filter(is_kept).map(str::to_owned);
        let added = self.iter().map(|(symbol, request)| request.value.line(symbol));
        kept.chain(added).map(|line| line + "\n").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kconfig::Config;
    use proptest::prelude::*;

    fn parse(name: &str, text: &str) -> Fragment {
        Fragment::parse(name, text).unwrap()
    }

    #[test]
    fn the_last_fragment_wins_where_it_says_so_and_keeps_its_place() {
        let a = parse("a", "CONFIG_NET=y\nCONFIG_OVERLAY_FS=m\nCONFIG_HZ=16\n");
        let b = parse("b", "# override: it holds the root\nCONFIG_OVERLAY_FS=y\nCONFIG_HZ=0x10\n");
        let requests = merge(&[a, b]).unwrap();
        let base = "# Kernel\nCONFIG_HZ=100\nCONFIG_NETFILTER=y\n# CONFIG_NET is not set\n# CONFIG_NET stays";
        let expected = "# Kernel\nCONFIG_NETFILTER=y\n# CONFIG_NET stays\nCONFIG_NET=y\nCONFIG_OVERLAY_FS=y\n\
                        CONFIG_HZ=0x10\n";
        assert_eq!(requests.apply(base), expected);
        let (_, overlay) = requests.iter().nth(1).unwrap();
        assert_eq!((overlay.fragment.as_str(), overlay.line), ("b", 2));
        assert_eq!(overlay.reason.as_deref(), Some("it holds the root"));
    }

    #[test]
    fn fragments_that_disagree_are_named_with_their_lines_and_all_at_once() {
        let a = parse("a.fragment", "CONFIG_NET=y\nCONFIG_USB=n\n");
        let b =
            parse("b.fragment", "\nCONFIG_NET=m\n# CONFIG_USB is not set\n# override: why\nCONFIG_SMP=y\n");
        let c = parse("c.fragment", "CONFIG_NET=n\n# override: the same\nCONFIG_USB=n\n");
        assert_eq!(
            merge(&[a, b, c]).unwrap_err().to_string(),
            "b.fragment:2: `NET` is `m` here, but `y` in a.fragment:1\n\
             b.fragment:5: `SMP` is marked as an override, but no earlier fragment asks for anything else\n\
             c.fragment:1: `NET` is `n` here, but `m` in b.fragment:2\n\
             c.fragment:3: `USB` is marked as an override, but no earlier fragment asks for anything else\n\n\
             hint: drop one of the two, or say above the later one why it wins: `# override: REASON`\n\
             hint: take the mark away, or change the order of the fragments"
        );
    }

    /// Settings of some fragments: few symbols, so that they meet.
    type Model = Vec<BTreeMap<String, u8>>;

    fn model() -> impl Strategy<Value = Model> {
        prop::collection::vec(prop::collection::btree_map("[A-D]", 0_u8..4, 0..4), 0..5)
    }

    fn value(number: u8) -> Value {
        match number {
            0 => Value::No,
            1 => Value::Module,
            2 => Value::Yes,
            _ => Value::Text("a \"b\"".to_owned()),
        }
    }

    /// The fragments of a model; marked as overrides are the lines that `is_marked` says.
    fn fragments(model: &Model, is_marked: impl Fn(&str, Option<u8>, u8) -> bool) -> Vec<Fragment> {
        let mut last: BTreeMap<&str, u8> = BTreeMap::new();
        let mut made = Vec::new();
        for (number, settings) in model.iter().enumerate() {
            let mut text = String::new();
            for (symbol, new) in settings {
                if is_marked(symbol, last.insert(symbol, *new), *new) {
                    text += "# override: tested\n";
                }
                text += &(value(*new).line(symbol) + "\n");
            }
            made.push(parse(&number.to_string(), &text));
        }
        made
    }

    proptest! {
        #[test]
        fn a_merge_is_a_map_that_later_fragments_write_over(
            model in model(),
            base in "(CONFIG_[A-F]=y\n|# a\n){0,5}",
        ) {
            let fragments = fragments(&model, |_, last, new| last.is_some_and(|last| last != new));
            let applied = merge(&fragments).unwrap().apply(&base);
            let asked: BTreeMap<String, Value> =
                model.into_iter().flatten().map(|(symbol, number)| (symbol, value(number))).collect();
            let (before, after) = (Config::parse(&base), Config::parse(&applied));
            for symbol in ["A", "B", "C", "D", "E", "F"] {
                prop_assert_eq!(after.get(symbol), asked.get(symbol).or(before.get(symbol)));
                let times = applied.lines().filter_map(split).filter(|(name, _)| *name == symbol).count();
                prop_assert!(times == 1 || !asked.contains_key(symbol));
            }
        }

        #[test]
        fn a_merge_fails_exactly_when_marks_and_contradictions_differ(model in model(), marked in "[A-D]?") {
            let mut wrong = 0;
            let fragments = fragments(&model, |symbol, _, _| symbol == marked);
            let mut last: BTreeMap<&str, u8> = BTreeMap::new();
            for (symbol, new) in model.iter().flatten() {
                let contradicts = last.insert(symbol, *new).is_some_and(|last| last != *new);
                wrong += usize::from(contradicts != (*symbol == marked));
            }
            let found = merge(&fragments).map_or_else(|problems| problems.0.len(), |_| 0);
            prop_assert_eq!(found, wrong);
        }
    }
}
