//! Progress on the terminal for whatever takes longer than a moment.
//!
//! Nothing is drawn when standard error is not a terminal, or after [`silence`].

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{
    HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
};

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

/// A build of so many steps, where that is known, with time left; its message is what it is at.
///
/// The time left is by the mean of all steps so far. Of a kernel that took ten minutes that was within a
/// sixth until nine tenths were done; the mean of the last seconds was a third wrong half-way.
pub fn steps(what: impl Into<String>, total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{prefix:24!} {bar:24} {pos:>6} of {len:<6} {rate:>6} {left:>4}  {wide_msg}",
        ),
        None => (ProgressBar::no_length(), "{prefix:24!} {pos:>6} steps {rate:>6} {elapsed:>4}  {wide_msg}"),
    };
    let bar = add(bar, template, String::new()).with_prefix(what.into());
    let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
        // A bar that cannot be drawn whole is no error.
        let _ = write!(out, "{:.1}/s", state.pos() as f64 / state.elapsed().as_secs_f64().max(0.1));
    };
    let left = |state: &ProgressState, out: &mut dyn fmt::Write| {
        let left = left(state.pos(), state.len().unwrap_or_default(), state.elapsed());
        let _ = left.map_or(Ok(()), |left| write!(out, "{:#}", HumanDuration(left)));
    };
    bar.set_style(bar.style().with_key("rate", rate).with_key("left", left));
    bar
}

/// The time that is left when `done` of `total` things took so long; none when nothing can be said.
pub fn left(done: u64, total: u64, took: Duration) -> Option<Duration> {
    let rest = total.checked_sub(done).filter(|rest| *rest > 0 && done > 0)?;
    Duration::try_from_secs_f64(took.as_secs_f64() * rest as f64 / done as f64).ok()
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
