//! Merging agrees with the kernel's own `scripts/kconfig/merge_config.sh`, and does not share what that
//! passes over. `FACTORY_TEST_MERGE_CONFIG` names the script.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use factory::kconfig::{Config, Fragment, SHIPPED, Value, broken, merge};
use proptest::prelude::*;
use tempfile::TempDir;

fn script() -> PathBuf {
    let path = std::env::var_os("FACTORY_TEST_MERGE_CONFIG");
    let path = path.expect("FACTORY_TEST_MERGE_CONFIG does not name the kernel's merge_config.sh");
    fs::canonicalize(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The `.config` that the kernel's script makes of a base and fragments.
fn kernels_merge(base: &str, fragments: &[String]) -> String {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("base"), base).unwrap();
    let mut command = Command::new("sh");
    command.arg(script()).args(["-m", "-O", ".", "base"]).current_dir(dir.path());
    command.env_remove("KCONFIG_CONFIG").env_remove("CONFIG_");
    for (number, text) in fragments.iter().enumerate() {
        let name = format!("{number}.fragment");
        fs::write(dir.path().join(&name), text).unwrap();
        command.arg(name);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(dir.path().join(".config")).unwrap()
}

fn our_merge(base: &str, fragments: &[String]) -> String {
    let parsed: Vec<Fragment> = fragments
        .iter()
        .map(|text| Fragment::parse("a", text).unwrap_or_else(|p| panic!("{p}\n{text}")))
        .collect();
    merge(&parsed).unwrap_or_else(|problems| panic!("{problems}")).apply(base)
}

/// The settings of a `.config` in their order. The script keeps comments, and `=n` as it is written.
fn settings(config: &str) -> Vec<String> {
    let is_setting = |line: &&str| {
        line.starts_with("CONFIG_") || line.starts_with("# CONFIG_") && line.ends_with(" is not set")
    };
    let canonical = |line: &str| match line.strip_suffix("=n") {
        Some(symbol) => format!("# {symbol} is not set"),
        None => line.to_owned(),
    };
    config.lines().filter(is_setting).map(canonical).collect()
}

/// Names that are parts of each other, since the script finds them as words.
fn symbol() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["A", "NET", "NET_NS", "NS", "IP_NET", "NET6", "6_NET", "MT76x02_LIB", "LSM"])
        .prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec!["y", "m", "n", "0", "-1", "0x1f", "\"\""]).prop_map(str::to_owned),
        "[ -~]{0,9}".prop_map(|text| Value::Text(text).to_string()),
    ]
}

/// The text of a fragment, where `last` is what was asked for before.
fn text(settings: BTreeMap<String, (String, bool)>, last: &mut BTreeMap<String, Value>) -> String {
    let mut text = "# a fragment of CONFIG_B and others\n\n".to_owned();
    for (symbol, (written, is_long)) in settings {
        let value = Value::parse(&written).unwrap();
        if last.insert(symbol.clone(), value.clone()).is_some_and(|last| !last.is_same(&value)) {
            text += "# override: generated\n";
        }
        let line = format!("CONFIG_{symbol}={written}");
        text += &if is_long { value.line(&symbol) } else { line };
        text += "\n";
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn fragments_are_merged_as_the_kernels_script_merges_them(
        base in prop::collection::btree_map(symbol(), value(), 0..6),
        fragments in prop::collection::vec(
            prop::collection::btree_map(symbol(), (value(), any::<bool>()), 0..5), 1..4,
        ),
    ) {
        let base: String = base.iter().map(|(symbol, value)| format!("CONFIG_{symbol}={value}\n")).collect();
        let mut last = BTreeMap::new();
        let texts = fragments.into_iter().map(|settings| text(settings, &mut last));
        let fragments: Vec<String> = texts.collect();
        let (ours, kernels) = (our_merge(&base, &fragments), kernels_merge(&base, &fragments));
        prop_assert_eq!(settings(&ours), settings(&kernels));
        prop_assert_eq!(Config::parse(&ours), Config::parse(&kernels));
    }
}

#[test]
fn the_shipped_fragments_are_merged_as_the_kernels_script_merges_them() {
    let text = |name: &str| SHIPPED.iter().find(|(shipped, _)| *shipped == name).unwrap().1.to_owned();
    let base = "CONFIG_NET=y\n# CONFIG_MEMCG is not set\nCONFIG_LSM=\"\"\nCONFIG_DRM=m\n";
    for track in
        [["container.fragment", "rpi-mainline.fragment"], ["tiny-virt.fragment", "tiny-rpi.fragment"]]
    {
        let fragments = track.map(text);
        let ours = our_merge(base, &fragments);
        assert_eq!(settings(&ours), settings(&kernels_merge(base, &fragments)));
    }
}

/// Lines that the kernel's tools pass over or misread without a word, each with the reason given here.
const SILENTLY_LOST: &[(&str, &str)] = &[
    ("VIRTIO_BLK=y", "lacks the prefix"),
    ("#CONFIG_EXT4_FS is not set", "unsets nothing"),
    ("# CONFIG_VFAT_FS  is not set", "unsets nothing"),
    ("CONFIG_LOCALVERSION=-noquote", "a word without quotes"),
    ("CONFIG_SWAP=n\n# CONFIG_SWAP is not set", "already in line 1"),
];

#[test]
fn what_the_kernels_tools_lose_is_refused() {
    for (line, reason) in SILENTLY_LOST {
        let found = Fragment::parse("bad.fragment", line).unwrap_err().to_string();
        assert!(found.starts_with("bad.fragment:") && found.contains(reason), "{line}: {found}");
    }
}

/// Requests, and the lines that `olddefconfig` of Linux 6.12 leaves of all of these and the next ones on
/// top of arm64's defconfig. It says a word only about the third.
const NOT_GRANTED: &[(&str, &str)] = &[
    ("CONFIG_MEMCG_SWAP=y", ""),
    ("CONFIG_NO_SUCH_SYMBOL=y", ""),
    ("CONFIG_USER_NS=m", "# CONFIG_USER_NS is not set"),
    ("CONFIG_BRIDGE=m", ""),
    ("CONFIG_BRIDGE_NETFILTER=y", ""),
    ("CONFIG_CRC32=m", "CONFIG_CRC32=y"),
    ("CONFIG_ARM64_4K_PAGES=y", "# CONFIG_ARM64_4K_PAGES is not set"),
    ("CONFIG_HAVE_KVM_IRQCHIP=n", "CONFIG_HAVE_KVM_IRQCHIP=y"),
    ("CONFIG_LOG_BUF_SHIFT=99", "CONFIG_LOG_BUF_SHIFT=25"),
    ("# CONFIG_CRYPTO_SHA256 is not set", "CONFIG_CRYPTO_SHA256=y"),
];

/// Requests that it grants.
const GRANTED: &[(&str, &str)] = &[
    ("# CONFIG_SECURITY is not set", "# CONFIG_SECURITY is not set"),
    ("# CONFIG_NET is not set", "# CONFIG_NET is not set"),
    ("CONFIG_ARM64_64K_PAGES=y", "CONFIG_ARM64_64K_PAGES=y"),
    ("CONFIG_SWAP=n", "# CONFIG_SWAP is not set"),
    ("CONFIG_NF_LOG_SYSLOG=n", ""),
];

#[test]
fn what_the_kernels_tools_do_not_grant_is_told_line_by_line() {
    let lines = |row: fn(&(&'static str, &'static str)) -> &'static str| -> String {
        NOT_GRANTED.iter().chain(GRANTED).map(|both| format!("{}\n", row(both))).collect()
    };
    let fragment = Fragment::parse("bad.fragment", &lines(|(asked, _)| asked)).unwrap();
    let requests = merge(&[fragment]).unwrap();
    let broken = broken(&requests, &Config::parse(&lines(|(_, got)| got)));
    let found: Vec<String> = broken.iter().map(|broken| broken.asked.line(&broken.symbol)).collect();
    let expected: Vec<String> = NOT_GRANTED.iter().flat_map(|(asked, _)| settings(asked)).collect();
    assert_eq!(found, expected);
    assert!(broken.iter().zip(1..).all(|(broken, line)| broken.line == line));
}
