//! The contract: what was asked for must be in the final `.config`.

use serde::Serialize;

use super::config::Config;
use super::merge::Requests;
use super::value::Value;

/// A request that was not granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// The symbol, without `CONFIG_`.
    pub symbol: String,
    /// The value that was asked for.
    pub asked: Value,
    /// The value that it has; `No` when the `.config` does not mention it.
    pub got: Value,
    /// The fragment that asked, as it was named.
    pub fragment: String,
    /// Its line, from 1.
    pub line: u32,
}

/// The requests that a final `.config` does not grant, in the order of the requests. Kconfig says nothing
/// of them: it drops what lacks a dependency or does not exist, and changes what is selected or capped.
pub fn broken(requests: &Requests, config: &Config) -> Vec<Broken> {
    let not_granted = |(symbol, request): (&str, &super::Request)| {
        let got = config.value(symbol);
        (!request.value.is_same(got)).then(|| Broken {
            symbol: symbol.to_owned(),
            asked: request.value.clone(),
            got: got.clone(),
            fragment: request.fragment.clone(),
            line: request.line,
        })
    };
    requests.iter().filter_map(not_granted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kconfig::{Fragment, merge};

    #[test]
    fn whatever_was_not_granted_is_told_with_its_line() {
        let text = "CONFIG_NET=y\nCONFIG_BRIDGE=m\n# CONFIG_SWAP is not set\nCONFIG_MEMCG_SWAP=y\n\
                    CONFIG_CRC32=m\n# CONFIG_CRYPTO_SHA256 is not set\nCONFIG_LOG_BUF_SHIFT=99\n\
                    CONFIG_NR_CPUS=0x4\nCONFIG_LSM=\"\"\n";
        let requests = merge(&[Fragment::parse("a", text).unwrap()]).unwrap();
        let config = Config::parse(
            "CONFIG_NET=y\nCONFIG_CRC32=y\nCONFIG_CRYPTO_SHA256=y\nCONFIG_LOG_BUF_SHIFT=25\n\
             CONFIG_NR_CPUS=4\nCONFIG_LSM=\"\"\n",
        );
        let found: Vec<String> = broken(&requests, &config)
            .iter()
            .map(|broken| {
                format!(
                    "{}:{} {} {} {}",
                    broken.fragment, broken.line, broken.symbol, broken.asked, broken.got
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                "a:2 BRIDGE m n",
                "a:4 MEMCG_SWAP y n",
                "a:5 CRC32 m y",
                "a:6 CRYPTO_SHA256 n y",
                "a:7 LOG_BUF_SHIFT 99 25"
            ]
        );
        let json = serde_json::to_string(&broken(&requests, &config)[0]).unwrap();
        assert_eq!(json, r#"{"symbol":"BRIDGE","asked":"m","got":"n","fragment":"a","line":2}"#);
    }
}
