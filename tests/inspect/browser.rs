//! A real browser, without a screen: what it makes of a page.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::png::Picture;

/// Seconds after which a browser is ended, which takes one.
const PATIENCE: &str = "120";

/// Chromium with a home of its own.
pub(super) struct Browser(tempfile::TempDir);

/// What the page measures in a window of some width, in pixels.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Measures {
    pub(super) width: u32,
    /// Width of all that could be scrolled to.
    pub(super) scroll: u32,
    /// Elements with text that reach out of the window, by name.
    pub(super) outside: Vec<String>,
    /// Files that were asked for.
    pub(super) loaded: u32,
    /// Elements with the names of handlers of events, or that run, load or lead somewhere.
    pub(super) active: Vec<String>,
    /// Tables and cells as the phone's layout leaves them to screen readers.
    pub(super) cells: u32,
}

impl Browser {
    pub(super) fn new() -> Self {
        Browser(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Opens a page with these arguments. What the page said on its console must be nothing.
    fn open(&self, page: &Path, arguments: &[String]) -> Output {
        let output = self.start(page, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", output.status);
        let console: Vec<_> = said.lines().filter(|line| line.contains(":CONSOLE")).collect();
        assert!(console.is_empty(), "the page is not quiet: {console:?}");
        output
    }

    fn start(&self, page: &Path, arguments: &[String]) -> Output {
        let mut command = Command::new("timeout");
        command.args(["-k", "5", PATIENCE, "chromium", "--headless", "--no-sandbox", "--disable-gpu"]);
        command.args(["--hide-scrollbars", "--no-first-run", "--disable-background-networking"]);
        command.args(["--disable-component-update", "--enable-logging=stderr", "--virtual-time-budget=5000"]);
        // Nothing is looked up: browsers have errands of their own.
        command.arg("--host-resolver-rules=MAP * ~NOTFOUND");
        // Where containers give little shared memory.
        command.arg("--disable-dev-shm-usage");
        command.arg(format!("--user-data-dir={}", self.path("profile").display()));
        command.args(arguments).arg(format!("file://{}", page.display())).env("HOME", self.0.path());
        command.output().unwrap_or_else(|error| panic!("this test needs `timeout`: {error}"))
    }

    /// The page as the browser understood it.
    pub(super) fn dom(&self, page: &Path) -> String {
        String::from_utf8(self.open(page, &["--dump-dom".to_owned()]).stdout).unwrap()
    }

    /// Measures a page in windows of these widths.
    pub(super) fn measure(&self, page: &str, widths: &[u32]) -> Vec<Measures> {
        let wrapper = self.path("measure.html");
        let frames: String = widths.iter().map(|width| frame(page, *width, 2000)).collect();
        fs::write(&wrapper, format!("<!DOCTYPE html><body>{frames}<pre id=\"found\"></pre>{SCRIPT}"))
            .unwrap();
        let dom = self.dom(&wrapper);
        let found = dom.split_once("<pre id=\"found\">").unwrap().1.split_once("</pre>").unwrap().0;
        serde_json::from_str(found).unwrap_or_else(|error| panic!("{error}: {found}"))
    }

    /// What it looks like at this width. Narrow windows are frames: browsers make none.
    pub(super) fn picture(&self, page: &str, width: u32, height: u32, is_dark: bool) -> Picture {
        let (wrapper, shot) = (self.path("frame.html"), self.path("shot.png"));
        let frame = frame(page, width, height);
        fs::write(&wrapper, format!("<!DOCTYPE html><body style=\"margin:0\">{frame}")).unwrap();
        let scheme = i32::from(!is_dark);
        let arguments = [
            format!("--blink-settings=preferredColorScheme={scheme}"),
            format!("--window-size={width},{height}"),
            format!("--screenshot={}", shot.display()),
        ];
        self.open(&wrapper, &arguments);
        Picture::decode(&fs::read(&shot).unwrap())
    }

    /// Whether it tells of what a page must not do: else all this proves nothing.
    pub(super) fn tells_of(&self, page: &str) -> bool {
        let path = self.path("control.html");
        fs::write(&path, page).unwrap();
        let output = self.start(&path, &["--dump-dom".to_owned()]);
        String::from_utf8_lossy(&output.stderr).contains(":CONSOLE")
    }
}

fn frame(page: &str, width: u32, height: u32) -> String {
    let page = page.replace('&', "&amp;").replace('"', "&quot;");
    format!("<iframe style=\"border:0;width:{width}px;height:{height}px\" srcdoc=\"{page}\"></iframe>")
}

/// Measures all frames when they are there. Tiles cut off their text themselves.
const SCRIPT: &str = r#"<script>
onload = () => {
  const measure = frame => {
    const { document, performance } = frame.contentWindow;
    const all = [...document.querySelectorAll("*")];
    const isCut = one => one.closest(".map li, svg, thead");
    const reaches = one => one.getBoundingClientRect().right > frame.clientWidth + 0.5;
    const acts = one => /^(script|img|iframe|object|embed|link|base|form|a|video|audio|image|use)$/i.test(one.localName)
      || [...one.attributes].some(attribute => /^on|^href$|^src/i.test(attribute.name));
    return {
      width: frame.clientWidth,
      scroll: document.documentElement.scrollWidth,
      outside: all.filter(one => !isCut(one) && reaches(one)).map(one => one.localName),
      loaded: performance.getEntriesByType("resource").length,
      active: all.filter(acts).map(one => one.localName),
      cells: document.querySelectorAll("table[role=table] [role=row] > [role=cell]").length,
    };
  };
  const found = [...document.querySelectorAll("iframe")].map(measure);
  document.querySelector("pre").textContent = JSON.stringify(found);
};
</script>"#;
