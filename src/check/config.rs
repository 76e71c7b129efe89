//! What the Raspberry Pi's firmware is told: `config.txt` and the kernel command line.

use bootenv::rpi::CONFIG;

use super::scene::{Partition, Scene};
use super::systems::{self, LARGEST_CONFIG};
use super::{Finding, Rule, Scope, Severity};
use crate::configtxt::{self, Problem};

/// Bytes of a command line that arm64 kernels take (Linux, `COMMAND_LINE_SIZE`).
const LONGEST_CMDLINE: usize = 2048;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "config-syntax",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "config.txt is read as it is meant",
        why: "firmware cuts what is too long and passes over what it does not understand, silently",
        link: "raspberrypi/documentation, config_txt/what_is_config_txt.adoc; raspberrypi/firmware#1848",
        way_out: "correct the lines; end every section with `[all]`",
        check: |scene| problems(scene, configtxt::Severity::Error),
    },
    Rule {
        name: "config-doubtful",
        severity: Severity::Warning,
        scope: Scope::Rpi,
        title: "config.txt does what it seems to",
        why: "lines that count for other boards or sections than they seem to are found out late",
        link: "raspberrypi/documentation, config_txt/conditional.adoc",
        way_out: "correct the lines; end every section with `[all]`",
        check: |scene| problems(scene, configtxt::Severity::Warning),
    },
    Rule {
        name: "config-cmdline",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "the kernel command line is there, on one line",
        why: "only the first line is read, and without one the kernel has neither console nor panic=",
        link: "raspberrypi/documentation, computers/configuration/kernel-command-line-config.adoc",
        way_out: "write all options on one line",
        check: cmdline,
    },
];

fn problems(scene: &Scene, severity: configtxt::Severity) -> Vec<Finding> {
    let found = systems::all(scene).flat_map(|system| {
        let text = scene.read(system, CONFIG, LARGEST_CONFIG).unwrap_or_default();
        let problems = configtxt::problems(&text).into_iter();
        problems.filter(move |problem| problem.severity == severity).map(|problem| finding(system, &problem))
    });
    found.collect()
}

fn finding(system: &Partition, problem: &Problem) -> Finding {
    let what = match problem.line {
        0 => problem.what.clone(),
        line => format!("line {line}: {}", problem.what),
    };
    Finding::new(system.at(CONFIG), what)
}

fn cmdline(scene: &Scene) -> Vec<Finding> {
    let mut findings = Vec::new();
    for system in systems::all(scene) {
        let mut names: Vec<String> =
            system.settings(scene).iter().map(|(_, settings)| settings.cmdline().to_owned()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let problem = match scene.read(system, &name, LARGEST_CONFIG) {
                Some(text) => cmdline_problem(&text),
                None if system.has(&name) => None,
                None => Some("there is no such file".to_owned()),
            };
            findings.extend(problem.map(|what| Finding::new(system.at(&name), what)));
        }
    }
    findings
}

fn cmdline_problem(text: &[u8]) -> Option<String> {
    let text = text.trim_ascii_end();
    if text.contains(&b'\n') {
        return Some("it has more than one line, and only the first is read".to_owned());
    }
    if text.len() >= LONGEST_CMDLINE {
        return Some(format!("it has {} bytes, and the kernel takes {}", text.len(), LONGEST_CMDLINE - 1));
    }
    text.contains(&0).then(|| "it has bytes that are not text".to_owned())
}
