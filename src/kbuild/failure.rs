//! The first real error in what make said.
//!
//! ```text
//!     CC      init/main.o                                     <- the step, found by its target
//!     CC      kernel/fork.o
//!   In file included from init/main.c:21:                     <- what leads to the error
//!   include/linux/x.h:5:10: fatal error: y.h: No such file    <- the first line that is an error
//!       5 | #include <y.h>                                    <- what belongs to it
//!   make[3]: *** [scripts/Makefile.build:229: init/main.o] Error 1    <- what follows from it
//!   make[2]: *** [scripts/Makefile.build:478: init] Error 2
//! ```

use std::path::Path;
use std::process::ExitStatus;

use super::host;
use super::progress::Step;

/// Lines of an error that are shown.
const SHOWN: usize = 12;
/// Lines that may lead to an error: a header is included by another, by another ...
const LEAD: usize = 5;
/// Characters of a line that are shown.
const WIDTH: usize = 240;

/// Words that only lines have that say what is wrong.
const ERRORS: [&str; 17] = [
    ": error:",
    ": fatal error:",
    "fatal error: Killed signal terminated",
    "internal compiler error",
    "undefined reference to",
    ": Error: ",
    ": Fatal error: ",
    "ERROR: ",
    "FATAL ERROR",
    "No rule to make target",
    "No space left on device",
    "Permission denied",
    "command not found",
    "cannot find -l",
    "multiple definition of",
    "failed to distribute and fallbacks are disabled",
    "Syntax error",
];
/// Words that lines have that only warn, whatever else they have.
const WARNINGS: [&str; 3] = [": warning: ", ": note: ", "WARNING: "];

/// Why make failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The step that failed, such as `CC init/main.o`, where make named one.
    pub step: Option<String>,
    /// The first error with what belongs to it, at most 12 lines.
    pub lines: Vec<String>,
    /// What may help, where something is known to.
    pub hint: Option<String>,
}

impl Failure {
    /// Finds the first error among the lines that make said before it ended with `status`. A launcher's
    /// own word on its `trouble` may be the only one there is.
    pub fn find<'a>(
        lines: impl IntoIterator<Item = &'a str>,
        status: ExitStatus,
        trouble: Option<String>,
    ) -> Self {
        let lines: Vec<&str> = lines.into_iter().collect();
        let stops: Vec<Stop<'_>> =
            lines.iter().enumerate().filter_map(|(at, line)| Stop::parse(at, line)).collect();
        let mut shown = block(&lines, stops.first().map_or(lines.len(), |stop| stop.at));
        if let Some(trouble) = trouble.filter(|_| !shown.iter().any(|line| is_error(line))) {
            shown = vec![trouble];
        }
        let step = step(&lines, &stops, &shown);
        let ends: Vec<&str> = stops.iter().map(|stop| stop.end).collect();
        let hint = hint(&shown, &ends);
        if shown.is_empty() {
            shown.push(format!("make ended with {status}, and said nothing of why"));
        }
        Failure { step, lines: shown, hint }
    }

    /// The failure as what follows `make Image failed`, with the name of the whole `log`.
    pub(super) fn show(&self, log: &Path) -> String {
        let mut text = self.step.as_ref().map(|step| format!(" at `{step}`")).unwrap_or_default();
        for line in &self.lines {
            text += "\n    ";
            text += line;
        }
        text += &format!("\n  the whole log is in `{}`", log.display());
        if let Some(hint) = &self.hint {
            text += "\n\nhint: ";
            text += hint;
        }
        text
    }
}

/// A line in which make gives up on a target.
#[derive(Clone, Copy, Debug)]
struct Stop<'a> {
    at: usize,
    target: &'a str,
    /// `Error 1`, `Killed`.
    end: &'a str,
}

impl<'a> Stop<'a> {
    /// Reads `make[3]: *** [scripts/Makefile.build:229: init/main.o] Error 1`.
    fn parse(at: usize, line: &'a str) -> Option<Self> {
        let (place, end) = line.split_once(": *** [")?.1.rsplit_once("] ")?;
        let target = place.rsplit_once(": ").map_or(place, |(_, target)| target);
        line.starts_with("make").then_some(Stop { at, target, end })
    }
}

fn is_error(line: &str) -> bool {
    let ends = line.ends_with(": not found") || line.ends_with("Stop.") && line.contains(": *** ");
    let is_stop = Stop::parse(0, line).is_some();
    let warns = WARNINGS.iter().any(|words| line.contains(words));
    let leads = line.starts_with("error: ") || line.starts_with("Error: ");
    !is_stop && !warns && (ends || leads || ERRORS.iter().any(|words| line.contains(words)))
}

/// The first error before the line at which make first gave up, else the last that was said before.
fn block(lines: &[&str], stop: usize) -> Vec<String> {
    let is_other = |line: &str| {
        Step::parse(line).is_some() || is_make(line) || line.trim().is_empty() || line.starts_with("# make ")
    };
    // What says what is wrong with a whole makefile comes with no target.
    let first = lines.iter().take(stop).position(|line| is_error(line));
    let first = first.or_else(|| lines.iter().position(|line| is_error(line)));
    let Some(first) = first else {
        let said: Vec<&&str> = lines[..stop].iter().rev().take_while(|line| !is_other(line)).collect();
        return said.into_iter().take(SHOWN).rev().map(|line| cut(line)).collect();
    };
    let lead = lines[..first].iter().rev().take(LEAD).take_while(|line| leads(line)).count();
    let rest = lines[first + 1..].iter().take_while(|line| !is_other(line));
    let shown = lines[first - lead..=first].iter().chain(rest);
    shown.take(SHOWN).map(|line| cut(line)).collect()
}

/// Whether a line leads to the error in the next one.
fn leads(line: &str) -> bool {
    let includes = line.starts_with("In file included from") || line.starts_with("                 from ");
    let places = [": In function ", ": in function ", ": At top level:", ": Assembler messages:"];
    includes || places.iter().any(|words| line.contains(words))
}

fn is_make(line: &str) -> bool {
    line.starts_with("make: ") || line.starts_with("make[")
}

/// A line that fits on a few lines of a terminal, without what could move the cursor.
fn cut(line: &str) -> String {
    let line = line.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(WIDTH).collect()
}

/// The step of the target that the error is about, else of the first that make gave up on.
fn step(lines: &[&str], stops: &[Stop<'_>], shown: &[String]) -> Option<String> {
    let stem = |target: &'_ str| target.rsplit_once('.').map_or(target, |(stem, _)| stem).to_owned();
    let is_about = |stop: &&Stop<'_>| shown.iter().any(|line| line.contains(&stem(stop.target)));
    if shown.first().is_some_and(|line| is_make(line)) {
        return None; // It names what it lacks itself.
    }
    let target = stops.iter().find(is_about).or(stops.first())?.target;
    let found = lines.iter().rev().filter_map(|line| Step::parse(line)).find(|step| step.file == target);
    Some(found.map_or(cut(target), |step| format!("{} {}", step.kind, cut(step.file))))
}

fn hint(shown: &[String], ends: &[&str]) -> Option<String> {
    let said = |words: &str| shown.iter().any(|line| line.contains(words));
    if said("No space left on device") {
        return Some("the disk is full: make room, and run this again; what is compiled stays".to_owned());
    }
    let killed = said("Killed") || ends.contains(&"Killed");
    if killed {
        return Some(
            "a program was killed, as the system does when memory runs out: try fewer jobs".to_owned(),
        );
    }
    if let Some(host) = shown.iter().find_map(|line| farm_host(line)) {
        return Some(format!(
            "the host {host} of the farm does not answer: see that it runs, or take it off the list"
        ));
    }
    if said("fallbacks are disabled") {
        return Some(
            "no host of the farm answers: see that they run, or do not set `DISTCC_FALLBACK`".to_owned(),
        );
    }
    shown
        .iter()
        .find_map(|line| host::package_for(line))
        .map(|package| format!("on Debian, `apt-get install {package}`"))
}

/// The host that distcc could not reach: `nonblocking connect to 10.0.0.9:3632 failed: Connection refused`.
fn farm_host(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("connect to ")?;
    let (host, _) = rest.split_once(" failed")?;
    Some(format!("`{host}`"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;
    use proptest::prelude::*;

    fn find(log: &str) -> Failure {
        Failure::find(log.lines(), ExitStatus::from_raw(2 << 8), None)
    }

    fn shown(log: &str) -> String {
        format!("`make Image` failed{}", find(log).show(Path::new("log")))
    }

    const SYNTAX: &str = "\
make[1]: Entering directory '/home/me/o'
  CC [M]  other/fine.o
  CC [M]  m1/bad.o
m1/bad.c:2:5: warning: no previous prototype for 'f' [-Wmissing-prototypes]
    2 | int f(void)
      |     ^
m1/bad.c: In function 'f':
m1/bad.c:4:16: error: 'missing_name' undeclared (first use in this function)
    4 |         return missing_name + 1
      |                ^~~~~~~~~~~~
m1/bad.c:4:16: note: each undeclared identifier is reported only once for each function it appears in
  CC [M]  other/late.o
make[3]: *** [/home/me/linux/scripts/Makefile.build:234: m1/bad.o] Error 1
make[2]: *** [/home/me/linux/Makefile:1992: m1] Error 2
make[1]: *** [/home/me/linux/Makefile:236: __sub-make] Error 2
make: *** [Makefile:236: __sub-make] Error 2
";

    #[test]
    fn an_error_is_shown_with_what_belongs_to_it_and_nothing_else() {
        assert_eq!(
            shown(SYNTAX),
            "`make Image` failed at `CC [M] m1/bad.o`
    m1/bad.c: In function 'f':
    m1/bad.c:4:16: error: 'missing_name' undeclared (first use in this function)
        4 |         return missing_name + 1
          |                ^~~~~~~~~~~~
    m1/bad.c:4:16: note: each undeclared identifier is reported only once for each function it appears in
  the whole log is in `log`"
        );
    }

    #[test]
    fn a_header_that_is_missing_comes_with_who_included_it_and_its_package() {
        let log = "  HOSTCC  certs/extract-cert\n  CC      kernel/fork.o\n\
            In file included from certs/extract-cert.c:19:\n\
            certs/ssl-common.h:5:10: fatal error: openssl/err.h: No such file or directory\n\
            \x20   5 | #include <openssl/err.h>\n      |          ^~~~~~~~~~~~~~~\ncompilation terminated.\n\
            make[3]: *** [scripts/Makefile.host:131: certs/extract-cert] Error 1\n";
        assert_eq!(
            shown(log),
            "`make Image` failed at `HOSTCC certs/extract-cert`
    In file included from certs/extract-cert.c:19:
    certs/ssl-common.h:5:10: fatal error: openssl/err.h: No such file or directory
        5 | #include <openssl/err.h>
          |          ^~~~~~~~~~~~~~~
    compilation terminated.
  the whole log is in `log`

hint: on Debian, `apt-get install libssl-dev`"
        );
    }

    #[test]
    fn the_step_is_the_one_that_the_error_is_about_when_two_fail_at_once() {
        let log = "  CC      a/one.o\n  CC      b/two.o\n\
            b/two.c:1:1: error: unknown type name 'x'\n\
            make[3]: *** [scripts/Makefile.build:229: a/one.o] Error 1\n\
            make[3]: *** [scripts/Makefile.build:229: b/two.o] Error 1\n";
        assert_eq!(find(log).step.as_deref(), Some("CC b/two.o"));
    }

    #[test]
    fn every_kind_of_error_is_found_before_what_follows_from_it() {
        let stop = "make[2]: *** [scripts/Makefile.build:229: x/y.o] Error 1\nmake: *** [Makefile:236: __sub-make] Error 2\n";
        for (line, hint) in [
            ("/tmp/ccWmJtxz.s:10: Error: unknown mnemonic `frobnicate' -- `frobnicate x0'", None),
            (
                "aarch64-linux-gnu-ld: x/y.o: in function `f':\nx/y.c:(.text+0x8): undefined reference to `nosuch'",
                None,
            ),
            ("make[3]: *** No rule to make target 'x/nosuch.o', needed by 'x/'.  Stop.", None),
            ("Makefile:5: *** missing separator.  Stop.", None),
            ("/bin/sh: 1: cannot create x/.y.o.d: Permission denied", None),
            ("ERROR: modpost: \"nosuch\" [drivers/x.ko] undefined!", None),
            ("Error: arch/arm64/boot/dts/x.dts:3.1-2 syntax error", None),
            ("/bin/sh: 1: bc: not found", Some("apt-get install bc")),
            (
                "/usr/bin/ld: cannot find -lcrypto: No such file or directory",
                Some("apt-get install libssl-dev"),
            ),
            ("fatal error: error writing to x/y.s: No space left on device", Some("the disk is full")),
            ("aarch64-linux-gnu-gcc: fatal error: Killed signal terminated program cc1", Some("fewer jobs")),
            ("aarch64-linux-gnu-gcc: internal compiler error: Killed (program cc1)", Some("fewer jobs")),
        ] {
            let failure = find(&format!("  CC      x/y.o\nx.c:1:1: warning: error: odd\n{line}\n{stop}"));
            assert_eq!(failure.lines.join("\n"), line);
            let found = failure.hint.unwrap_or_default();
            assert!(
                found.contains(hint.unwrap_or_default()) && found.is_empty() == hint.is_none(),
                "{line}: {found}"
            );
        }
    }

    #[test]
    fn without_a_word_the_end_speaks() {
        let log = "  LD      vmlinux\nmake[2]: *** [scripts/Makefile.vmlinux:34: vmlinux] Killed\n";
        let failure = find(log);
        assert_eq!(failure.step.as_deref(), Some("LD vmlinux"));
        assert!(failure.hint.unwrap().contains("memory"));
        let odd = "  GEN     x\nthe generator broke\nmake: *** [Makefile:5: x] Error 1\n";
        assert_eq!(find(odd).lines, ["the generator broke"]);
        assert_eq!(find("").lines, ["make ended with exit status: 2, and said nothing of why"]);
    }

    #[test]
    fn a_farm_that_is_down_is_named() {
        let log = "  CC      x/y.o\nmake[2]: *** [scripts/Makefile.build:229: x/y.o] Error 116\n";
        let trouble = "nonblocking connect to 10.0.0.9:3632 failed: Connection refused".to_owned();
        let failure = Failure::find(log.lines(), ExitStatus::from_raw(2 << 8), Some(trouble.clone()));
        assert_eq!((failure.step.as_deref(), &failure.lines), (Some("CC x/y.o"), &vec![trouble]));
        assert!(failure.hint.unwrap().starts_with("the host `10.0.0.9:3632` of the farm does not answer"));
    }

    proptest! {
        #[test]
        fn any_log_is_borne(log in "((make: )?(\\*\\*\\* \\[|\\] Error|error: |: Error: |: not found|  CC   |é|.){0,5}\n){0,20}") {
            let failure = find(&log);
            prop_assert!((1..=SHOWN).contains(&failure.lines.len()));
        }
    }
}
