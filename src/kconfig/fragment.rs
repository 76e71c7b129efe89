//! Fragments: pieces of a kernel configuration, each with one purpose.

use std::collections::BTreeMap;

use super::line::{self, Item};
use super::problem::{Fault, Problem, Problems};
use super::value::Value;

/// A fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// What it is called in messages: a file name or a path.
    pub name: String,
    /// What it asks for, in the order of its lines.
    pub settings: Vec<Setting>,
}

/// A line of a fragment that asks for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The symbol, without `CONFIG_`.
    pub symbol: String,
    /// The value that it should have.
    pub value: Value,
    /// The line, from 1.
    pub line: u32,
    /// Why it overrides an earlier fragment, when it is marked so.
    pub reason: Option<String>,
}

impl Fragment {
    /// Reads a fragment. `name` is for messages.
    ///
    /// # Errors
    /// Every line that the kernel's tools would pass over or misread, and every symbol that comes twice.
    pub fn parse(name: &str, text: &str) -> Result<Self, Problems> {
        let mut reader = Reader { name, ..Reader::default() };
        for (number, line) in (1..=u32::MAX).zip(text.split('\n')) {
            reader.line(number, line);
        }
        reader.end_mark();
        let settings = reader.settings;
        reader.problems.or(Fragment { name: name.to_owned(), settings })
    }
}

/// What was read so far.
#[derive(Default)]
struct Reader<'a> {
    name: &'a str,
    settings: Vec<Setting>,
    first: BTreeMap<&'a str, u32>,
    /// The mark on the line before, and its number.
    mark: Option<(u32, &'a str)>,
    problems: Problems,
}

impl<'a> Reader<'a> {
    fn line(&mut self, number: u32, line: &'a str) {
        match line::read(line) {
            Ok(Item::Nothing) => self.end_mark(),
            Ok(Item::Mark(reason)) => {
                self.end_mark();
                self.mark = Some((number, reason));
            }
            Ok(Item::Set(symbol, value)) => self.set(number, symbol, value),
            Err(fault) => {
                self.mark = None;
                self.problem(number, fault);
            }
        }
    }

    fn set(&mut self, line: u32, symbol: &'a str, value: Value) {
        let reason = self.mark.take().map(|(_, reason)| reason.to_owned());
        if let Some(first) = self.first.get(symbol) {
            let fault = Fault::Twice { symbol: symbol.to_owned(), first: *first };
            return self.problem(line, fault);
        }
        self.first.insert(symbol, line);
        self.settings.push(Setting { symbol: symbol.to_owned(), value, line, reason });
    }

    /// The line before is not followed by a setting; if it is a mark, that is wrong.
    fn end_mark(&mut self) {
        if let Some((line, _)) = self.mark.take() {
            self.problem(line, Fault::LoneMark);
        }
    }

    fn problem(&mut self, line: u32, fault: Fault) {
        self.problems.0.push(Problem { file: self.name.to_owned(), line, fault });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn problems(text: &str) -> Vec<String> {
        let found = Fragment::parse("a.fragment", text).unwrap_err().0;
        found.iter().map(ToString::to_string).collect()
    }

    fn set(symbol: &str, value: Value, line: u32) -> Setting {
        Setting { symbol: symbol.to_owned(), value, line, reason: None }
    }

    #[test]
    fn settings_are_read_and_comments_may_speak_of_symbols() {
        let text = "# about CONFIG_EXT4_FS, which is not set here\n# CONFIG_NET=y would do as well\n\
                    # It is not set\n\nCONFIG_NET=y\n# CONFIG_SWAP is not set\nCONFIG_USB=n\n\
                    CONFIG_LSM=\"yama # bpf\"\n# override: the vendor's is too small\nCONFIG_NR_CPUS=4\n\
                    CONFIG_MT76x02_LIB=m\nCONFIG_PPC_8xx=y\nCONFIG_VFPv3=y";
        let fragment = Fragment::parse("a.fragment", text).unwrap();
        let mut cpus = set("NR_CPUS", Value::Number("4".to_owned()), 10);
        cpus.reason = Some("the vendor's is too small".to_owned());
        let expected = [
            set("NET", Value::Yes, 5),
            set("SWAP", Value::No, 6),
            set("USB", Value::No, 7),
            set("LSM", Value::Text("yama # bpf".to_owned()), 8),
            cpus,
            set("MT76x02_LIB", Value::Module, 11),
            set("PPC_8xx", Value::Yes, 12),
            set("VFPv3", Value::Yes, 13),
        ];
        assert_eq!(fragment.settings, expected);
    }

    #[test]
    fn every_line_that_would_be_passed_over_is_named() {
        let text = "VIRTIO_BLK=y\n#CONFIG_EXT4_FS is not set\n# CONFIG_VFAT_FS  is not set\n\
                    # SWAP is not set\nCONFIG_USB is not set\nCONFIG_LOCALVERSION=-noquote\n\
                    CONFIG_CMDLINE=\"quiet\nCONFIG_virtio_net=y\nCONFIG_Net=y\nconfig_NET=y\n CONFIG_PCI=y\n\
                    CONFIG_PCI = y\nCONFIG_PCI\nCONFIG_SMP=Y\nCONFIG_HZ=\nCONFIG_A=y\r\nCONFIG_B=\"\u{e9}\"\n\
                    CONFIG_TTY=y # for the console\n# CONFIG_OF is not set \n#  CONFIG_BUG IS NOT SET.\n";
        let expected = [
            "a.fragment:1: `VIRTIO_BLK=y` lacks the prefix: write `CONFIG_VIRTIO_BLK=y`",
            "a.fragment:2: `#CONFIG_EXT4_FS is not set` unsets nothing: write `# CONFIG_EXT4_FS is not set`, \
             with exactly these spaces",
            "a.fragment:3: `# CONFIG_VFAT_FS  is not set` unsets nothing: \
             write `# CONFIG_VFAT_FS is not set`, with exactly these spaces",
            "a.fragment:4: `# SWAP is not set` unsets nothing: write `# CONFIG_SWAP is not set`, \
             with exactly these spaces",
            "a.fragment:5: `CONFIG_USB is not set` unsets nothing: write `# CONFIG_USB is not set`, \
             with exactly these spaces",
            "a.fragment:6: `LOCALVERSION` is set to a word without quotes: a text needs them, and only `y`, \
             `m` and `n` have none",
            "a.fragment:7: `CMDLINE` has a text whose quotes do not end on its line",
            "a.fragment:8: `virtio_net` is in small letters, and names of symbols are in capitals",
            "a.fragment:9: `Net` is in small letters, and names of symbols are in capitals",
            "a.fragment:10: `config_NET` is in small letters, and names of symbols are in capitals",
            "a.fragment:11: ` CONFIG_PCI=y` is neither a setting nor a comment",
            "a.fragment:12: `CONFIG_PCI = y` is neither a setting nor a comment",
            "a.fragment:13: `CONFIG_PCI` is neither a setting nor a comment",
            "a.fragment:14: `SMP` is set to a word without quotes: a text needs them, and only `y`, `m` and \
             `n` have none",
            "a.fragment:15: `HZ` has no value: write `n` to turn it off, or `\"\"` for an empty text",
            "a.fragment:16: the character `\\r` is not plain text",
            "a.fragment:17: the character `\\u{e9}` is not plain text",
            "a.fragment:18: `TTY` is set to a word without quotes: a text needs them, and only `y`, `m` and \
             `n` have none",
            "a.fragment:19: `# CONFIG_OF is not set ` unsets nothing: write `# CONFIG_OF is not set`, \
             with exactly these spaces",
            "a.fragment:20: `#  CONFIG_BUG IS NOT SET.` unsets nothing: write `# CONFIG_BUG is not set`, \
             with exactly these spaces",
        ];
        assert_eq!(problems(text), expected);
    }

    #[test]
    fn a_symbol_stands_once_and_a_mark_right_before_its_setting() {
        let text = "CONFIG_NET=y\nCONFIG_NET=y\n# CONFIG_NET is not set\n# override: no setting\n\n\
                    # override: two marks\n# override: of which one counts\nCONFIG_SMP=y\n# override:\n\
                    #override: space\n# Override : capital\n# overrides: this is prose\n\
                    # override: at the end";
        let expected = [
            "a.fragment:2: `NET` is already in line 1: a fragment says it once",
            "a.fragment:3: `NET` is already in line 1: a fragment says it once",
            "a.fragment:4: the mark of an override is not followed by a setting",
            "a.fragment:6: the mark of an override is not followed by a setting",
            "a.fragment:9: `# override:` is no mark of an override: write `# override: REASON`",
            "a.fragment:10: `#override: space` is no mark of an override: write `# override: REASON`",
            "a.fragment:11: `# Override : capital` is no mark of an override: write `# override: REASON`",
            "a.fragment:13: the mark of an override is not followed by a setting",
        ];
        assert_eq!(problems(text), expected);
    }

    #[test]
    fn long_lines_are_shortened_and_hints_come_once() {
        let text = format!("{}\n# override: \nNET=y\n", "x".repeat(1000));
        let shown = "x".repeat(60);
        let expected = format!(
            "a:1: `{shown}...` is neither a setting nor a comment\n\
             a:2: `# override: ` is no mark of an override: write `# override: REASON`\n\
             a:3: `NET=y` lacks the prefix: write `CONFIG_NET=y`\n\n\
             hint: lines are `CONFIG_NAME=VALUE` with y, m, n, a number or a text in double quotes, \
             `# CONFIG_NAME is not set`, or comments\n\
             hint: a mark is the line `# override: REASON` right before the setting that it is about"
        );
        assert_eq!(Fragment::parse("a", &text).unwrap_err().to_string(), expected);
    }

    fn value() -> impl Strategy<Value = Value> {
        let number = prop_oneof![
            any::<i64>().prop_map(|n| n.to_string()),
            any::<u64>().prop_map(|n| format!("{n:#x}"))
        ];
        prop_oneof![
            Just(Value::No),
            Just(Value::Module),
            Just(Value::Yes),
            number.prop_map(Value::Number),
            "[ -~]{0,12}".prop_map(Value::Text),
        ]
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(
            settings in prop::collection::btree_map(
                "[A-Z0-9][A-Z0-9_]{0,9}", (value(), prop::option::of("[a-z]{1,9}")), 0..9,
            ),
        ) {
            let mut text = String::new();
            let mut expected = Vec::new();
            for (symbol, (value, reason)) in settings {
                if let Some(reason) = &reason {
                    text += &format!("# override: {reason}\n");
                }
                text += &(value.line(&symbol) + "\n");
                let line = u32::try_from(text.lines().count()).unwrap();
                expected.push(Setting { symbol, value, line, reason });
            }
            prop_assert_eq!(Fragment::parse("a", &text).unwrap().settings, expected);
        }

        #[test]
        fn every_line_is_understood_or_named(
            text in "(#? ?(CONFIG_)?[A-Za-z_]{0,3}( is not set|=| )?[ymn\"\\\\0-9]{0,3}\n\
                     |# override: ?a?\n|.{0,9}\n){0,9}",
        ) {
            let settings = match Fragment::parse("a", &text) {
                Ok(fragment) => fragment.settings.iter().map(|setting| setting.line).collect(),
                Err(problems) => problems.0.iter().map(|problem| problem.line).collect::<Vec<u32>>(),
            };
            let lines = u32::try_from(text.split('\n').count()).unwrap();
            prop_assert!(settings.iter().all(|line| (1..=lines).contains(line)));
        }
    }
}
