//! A `.config`: what the kernel's tools wrote, so nothing in it is judged.

use std::collections::BTreeMap;

use super::PREFIX;
use super::value::Value;

/// The symbols of a `.config` and their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config(BTreeMap<String, Value>);

impl Config {
    /// Reads a `.config` as Kconfig does: the last of several lines on one symbol counts, and lines that
    /// it would not understand are passed over.
    pub fn parse(text: &str) -> Self {
        let value = |text: Option<&str>| text.map_or(Ok(Value::No), Value::parse).ok();
        let symbols = text.lines().filter_map(split);
        Config(symbols.filter_map(|(symbol, text)| Some((symbol.to_owned(), value(text)?))).collect())
    }

    /// What a symbol, without `CONFIG_`, is set to: `No` where the file says so, none where it does not
    /// mention the symbol, which means the same.
    pub fn get(&self, symbol: &str) -> Option<&Value> {
        self.0.get(symbol)
    }

    /// What a symbol, without `CONFIG_`, is set to; `No` when it is not mentioned.
    pub fn value(&self, symbol: &str) -> &Value {
        self.get(symbol).unwrap_or(&Value::No)
    }

    /// All symbols that are mentioned, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(symbol, value)| (symbol.as_str(), value))
    }
}

/// The symbol that a line of a `.config` is about, with the text of its value; without one when the line
/// says that it is not set.
pub(super) fn split(line: &str) -> Option<(&str, Option<&str>)> {
    let (symbol, value) = match line.strip_prefix("# ") {
        Some(comment) => (comment.strip_prefix(PREFIX)?.strip_suffix(" is not set")?, None),
        None => {
            let (symbol, value) = line.strip_prefix(PREFIX)?.split_once('=')?;
            (symbol, Some(value))
        }
    };
    is_symbol(symbol).then_some((symbol, value))
}

/// Whether Kconfig could have a symbol of this name.
pub(super) fn is_symbol(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_config_is_read_as_kconfig_reads_it() {
        let text = "#\n# Linux/arm64 6.12.0 Kernel Configuration\n#\nCONFIG_NET=y\nCONFIG_BRIDGE=m\n\
                    # CONFIG_SWAP is not set\nCONFIG_LOG_BUF_SHIFT=17\nCONFIG_LSM=\"yama,\\\"bpf\\\"\"\n\
                    CONFIG_HZ=100\nCONFIG_HZ=250\n# CONFIG_VFAT_FS  is not set\n# CONFIG_X is not set.\n\
                    CONFIG_=y\nNET_NS=y\nCONFIG_NAME=unquoted\n";
        let config = Config::parse(text);
        let found: Vec<String> = config.iter().map(|(symbol, value)| value.line(symbol)).collect();
        assert_eq!(
            found,
            [
                "CONFIG_BRIDGE=m",
                "CONFIG_HZ=250",
                "CONFIG_LOG_BUF_SHIFT=17",
                "CONFIG_LSM=\"yama,\\\"bpf\\\"\"",
                "CONFIG_NET=y",
                "# CONFIG_SWAP is not set",
            ]
        );
        assert_eq!(config.get("SWAP"), Some(&Value::No));
        assert_eq!((config.get("USB"), config.value("USB")), (None, &Value::No));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(# )?(CONFIG_[A-Z]{0,3}(=| is not set)?.{0,5}\n|.{0,9}\n){0,9}") {
            let config = Config::parse(&text);
            let printed: String = config.iter().map(|(name, value)| value.line(name) + "\n").collect();
            prop_assert_eq!(Config::parse(&printed), config);
        }
    }
}
