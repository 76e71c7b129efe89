//! An inspection as a page for a browser: one file, without scripts, which loads nothing.
//!
//! ```text
//!   Inspection --> disk: bars ---------\
//!              --> space: treemaps -----+--> one page, with palette and style sheet in it
//!              --> words: tables ------/
//! ```
//! Whatever comes from the image goes through `escape::Text`; should that ever fail, the page's policy
//! still forbids a browser to run or to load anything. The same image makes the same bytes.

mod bars;
mod disk;
mod escape;
mod palette;
mod space;
mod treemap;
mod words;

use std::path::Path;

use super::model::Inspection;
use super::render;
use escape::Text;

/// The style sheet, without colours.
const STYLE: &str = include_str!("style.css");

/// What a browser may do: use the styles of the page, and nothing else (W3C, Content Security Policy 3).
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The whole page.
pub fn html(found: &Inspection) -> String {
    // The way to the image is not the image's.
    let name = Path::new(&found.path).file_name().unwrap_or_default().to_string_lossy();
    let name = Text(&name).to_string();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name}: {size}</title>\n<style>\n{colours}{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1><bdi>{name}</bdi></h1>\n{summary}</header>\n<main>\n{problems}{disk}{boot}{space}\
         {partitions}{biggest}</main>\n</body>\n</html>\n",
        size = found.size,
        colours = palette::css(),
        summary = summary(found),
        problems = words::problems(found),
        disk = card("The disk", "", &disk::figure(found)),
        boot = words::boot(found),
        space = card("What takes the space", SPACE, &space::section(found)),
        partitions = words::partitions(found),
        biggest = words::biggest(found),
    )
}

/// What the treemaps count.
const SPACE: &str = "<p class=\"quiet\">Lengths of files, added up for every directory. A file with several names \
    counts for each. Point at a tile to see its path.</p>\n";

/// A part of the page with a title; nothing when it is empty.
fn card(title: &str, about: &str, inner: &str) -> String {
    if inner.is_empty() {
        return String::new();
    }
    format!("<section class=\"card\"><h2>{title}</h2>\n{about}{inner}</section>\n")
}

/// Size, table and health in a line.
fn summary(found: &Inspection) -> String {
    let mut parts = vec![found.size.to_string()];
    parts.extend(found.mapped.map(|mapped| format!("{mapped} of it stored, the rest holes")));
    let table = found.table.as_ref();
    parts.extend(table.map(|table| format!("{} {}", Text(&table.scheme), Text(&table.id))));
    let (class, health) = match render::problems(found).len() {
        0 => ("good", "no problems found".to_owned()),
        1 => ("bad", "1 problem".to_owned()),
        count => ("bad", format!("{count} problems")),
    };
    format!("<p>{} · <b class=\"{class}\">{health}</b></p>\n", parts.join(" · "))
}
