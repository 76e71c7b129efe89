//! Reasons on a real kernel: its own tools make the `.config`, and every line that a reason names is
//! looked up. `FACTORY_TEST_LINUX` is the directory of a kernel's source, 6.12, which is only read;
//! the kernel's tools need `make`, `gcc`, `flex`, `bison` and `aarch64-linux-gnu-gcc`. `BLESS=1`
//! rewrites the golden report.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use factory::kexplain::{Kind, Reason, Tree};
use regex::Regex;

/// What a line that a reason names may start with.
const KEYWORDS: &[&str] = &[
    "config",
    "menuconfig",
    "choice",
    "if",
    "depends",
    "visible",
    "select",
    "imply",
    "range",
    "default",
    "def_",
    "bool",
    "tristate",
];

/// What is asked for, and what is wrong with it.
const ASKED: &[(&str, &str)] = &[
    ("SECURITY", "n"),
    ("SECURITY_APPARMOR", "y"),
    ("MEMCG_SWAP", "y"),
    ("NO_SUCH_SYMBOL", "y"),
    ("USER_NS", "m"),
    ("BRIDGE", "m"),
    ("BRIDGE_NETFILTER", "y"),
    ("CRC32", "m"),
    ("CRYPTO_SHA256", "n"),
    ("ARM64_4K_PAGES", "y"),
    ("ARM64_64K_PAGES", "y"),
    ("NF_LOG_SYSLOG", "n"),
    ("HAVE_KVM_IRQCHIP", "n"),
    ("LOCALVERSION", "-noquote"),
    ("LOG_BUF_SHIFT", "99"),
    ("SWAP", "n"),
    ("NET", "n"),
    ("DRM", "m"),
    ("FB_SIMPLE", "y"),
    ("DRM_SIMPLEDRM", "y"),
    ("EXPERT", "n"),
];

fn linux() -> PathBuf {
    let dir = std::env::var_os("FACTORY_TEST_LINUX")
        .expect("set FACTORY_TEST_LINUX to the directory of a kernel's source, 6.12");
    PathBuf::from(dir).canonicalize().unwrap()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Values as the kernel's tools leave them.
type Config = BTreeMap<String, String>;

/// The `.config` that the kernel makes for one goal, and then of that with what is asked for.
fn configured(linux: &Path, goal: &str, asked: &[(&str, &str)]) -> Config {
    let out = tempfile::tempdir().unwrap();
    let make = |goal: &str| {
        let mut make = Command::new("make");
        make.current_dir(out.path()).arg("-C").arg(linux).arg(format!("O={}", out.path().display()));
        run(make.args(["ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", goal]));
    };
    make(goal);
    let path = out.path().join(".config");
    if !asked.is_empty() {
        let is_kept = |line: &&str| !asked.iter().any(|(name, _)| line.contains(&format!("CONFIG_{name}=")));
        let base = fs::read_to_string(&path).unwrap();
        let mut text: String = base.lines().filter(is_kept).flat_map(|line| [line, "\n"]).collect();
        asked.iter().for_each(|(name, value)| writeln!(text, "CONFIG_{name}={value}").unwrap());
        fs::write(&path, text).unwrap();
        make("olddefconfig");
    }
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("CONFIG_")?.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect()
}

#[test]
fn every_option_that_was_not_had_has_its_reason() {
    let linux = linux();
    let config = configured(&linux, "defconfig", ASKED);
    let tree = Tree::read(&linux, "arm64").unwrap();
    let value = |name: &str| config.get(name).cloned();
    let mut report = String::new();
    for (name, asked) in ASKED {
        let got = config.get(*name).map(String::as_str);
        writeln!(report, "{name}: asked for {asked}, got {}", got.unwrap_or("nothing")).unwrap();
        for reason in tree.explain(name, asked, got, &value) {
            writeln!(report, "    {reason}").unwrap();
        }
    }
    // Lines move from one release of a kernel to the next; that they are the right ones is seen in them.
    let place = Regex::new(r"([\w./-]*Kconfig[\w.-]*):(\d+)").unwrap();
    for found in place.captures_iter(&report) {
        let text = fs::read_to_string(linux.join(&found[1])).unwrap();
        let line = text.lines().nth(found[2].parse::<usize>().unwrap() - 1).unwrap().trim_start();
        assert!(KEYWORDS.iter().any(|keyword| line.starts_with(keyword)), "{}: {line}", &found[0]);
    }
    let report = place.replace_all(&report, "$1").into_owned();
    let golden = Path::new("tests/golden/kexplain.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(golden, &report).unwrap();
    }
    assert_eq!(report, fs::read_to_string(golden).unwrap(), "\nhint: review, then BLESS=1\n{report}");
}

#[test]
fn all_of_a_kernel_is_understood_and_fast() {
    let started = Instant::now();
    let tree = Tree::read(&linux(), "arm64").unwrap();
    let took = started.elapsed();
    println!("{} files, {} symbols in {took:?}", tree.files(), tree.names().count());
    assert_eq!(tree.skipped(), []);
    assert!(tree.files() > 1000 && tree.names().count() > 15_000);
    assert!(took < Duration::from_secs(20), "{took:?}");
}

/// The kernel's tools ask everything of some types for one value: what did not get it has a reason.
/// What got it by nothing but being asked has none, but for what only the compiler can tell.
fn reasons_agree(goal: &str, kinds: &[Kind], asked: &str) {
    let linux = linux();
    let config = configured(&linux, goal, &[]);
    let tree = Tree::read(&linux, "arm64").unwrap();
    let value = |name: &str| config.get(name).cloned();
    let (mut missed, mut had) = (0, 0);
    let mut wrong = Vec::new();
    for about in tree.names().map(|name| tree.about(name).unwrap()) {
        if !about.kind.is_some_and(|kind| kinds.contains(&kind)) || about.prompt.is_none() {
            continue;
        }
        let name = &about.name;
        let got = config.get(name).map_or("n", String::as_str);
        let has_other_sources =
            [&about.selected_by, &about.implied_by, &about.defaults].iter().any(|by| !by.is_empty());
        if got != asked {
            missed += 1;
            if tree.explain(name, asked, Some(got), &value).is_empty() {
                wrong.push(format!("{name}={got} has no reason"));
            }
        } else if asked != "n" && !has_other_sources {
            had += 1;
            let reasons = tree.explain(name, asked, Some("n"), &value);
            if let Some(reason) = reasons.iter().find(|reason| !matches!(reason, Reason::Undecided { .. })) {
                wrong.push(format!("{name}={got}: {reason}"));
            }
        }
    }
    assert!(missed > 50 && (asked == "n" || had > 1000), "{goal}: {missed} not had, {had} had by asking");
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn whatever_is_not_on_when_all_is_asked_for_has_a_reason() {
    reasons_agree("allyesconfig", &[Kind::Bool, Kind::Tristate], "y");
}

#[test]
fn whatever_is_no_module_when_all_are_asked_to_be_has_a_reason() {
    reasons_agree("allmodconfig", &[Kind::Tristate], "m");
}

#[test]
fn whatever_is_not_off_when_nothing_is_asked_for_has_a_reason() {
    reasons_agree("allnoconfig", &[Kind::Bool, Kind::Tristate], "n");
}
