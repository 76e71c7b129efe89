//! Progress on the terminal for whatever takes longer than a moment.
//!
//! Nothing is drawn when standard error is not a terminal, or after [`silence`].

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

static IS_SILENT: AtomicBool = AtomicBool::new(false);

/// Draws no more bars and prints no more notes from now on: for `--quiet`.
pub fn silence() {
    IS_SILENT.store(true, Ordering::Relaxed);
    BARS.set_draw_target(ProgressDrawTarget::hidden());
}

/// Prints what a person may want to know, above the bars, to standard error.
pub fn note(text: &str) {
    if !IS_SILENT.load(Ordering::Relaxed) {
        line(text);
    }
}

/// A bar over `total` bytes, with rate and time left. It vanishes when it is dropped or finished.
pub fn bytes(what: impl Into<String>, total: u64) -> ProgressBar {
    let style = "{msg:32!} {bar:30} {bytes:>10} of {total_bytes:<10} {bytes_per_sec:>11} {eta:>4}";
    add(ProgressBar::new(total), style, what.into())
}

/// A bar over `total` things.
pub fn count(what: impl Into<String>, total: u64) -> ProgressBar {
    add(ProgressBar::new(total), "{msg:32!} {bar:30} {pos:>6} of {len:<6} {eta:>4}", what.into())
}

/// A build of so many steps, where that is known, with rate and time left; its message is what it is at.
pub fn steps(what: impl Into<String>, total: Option<u64>) -> ProgressBar {
    let (bar, style) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{prefix:24!} {bar:24} {pos:>6} of {len:<6} {per_sec:>10} {eta:>4}  {wide_msg}",
        ),
        None => {
            (ProgressBar::no_length(), "{prefix:24!} {pos:>6} steps {per_sec:>10} {elapsed:>4}  {wide_msg}")
        }
    };
    add(bar, style, String::new()).with_prefix(what.into())
}

/// Something whose end nobody knows.
pub fn spinner(what: impl Into<String>) -> ProgressBar {
    let bar = add(ProgressBar::new_spinner(), "{spinner} {msg}", what.into());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Prints what a person must know, such as an error, above the bars, to standard error.
pub fn line(text: &str) {
    BARS.suspend(|| {
        #[expect(clippy::print_stderr, reason = "this module talks to the person")]
        {
            eprintln!("{text}");
        }
    });
}

fn add(bar: ProgressBar, template: &str, what: String) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = BARS.add(bar.with_style(style.progress_chars("=> ")).with_message(what));
    bar.with_finish(indicatif::ProgressFinish::AndClear)
}
