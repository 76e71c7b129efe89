//! Documents for cloud-init: by their first line (cloud-init documentation, "User-data formats"). Of a
//! `#cloud-config` it is checked that it is YAML and a mapping; what its keys mean, only cloud-init knows.

use std::collections::BTreeSet;

use saphyr_parser::{Event, Parser};

use super::Problem;

/// What begins a document, and what the rest of it must be.
const FORMATS: [(&str, Body); 11] = [
    ("#cloud-config-archive", Body::Sequence),
    ("#cloud-config-jsonp", Body::Free),
    ("#cloud-config", Body::Mapping),
    ("#cloud-boothook", Body::Free),
    ("#include-once", Body::Free),
    ("#include", Body::Free),
    ("#part-handler", Body::Free),
    ("#!", Body::Free),
    ("## template: jinja", Body::Free),
    ("Content-Type: multipart/", Body::Free),
    ("MIME-Version:", Body::Free),
];

/// How a gzip file begins, which cloud-init unpacks.
const GZIP: &[u8] = &[0x1f, 0x8b];

#[derive(Clone, Copy, PartialEq)]
enum Body {
    Mapping,
    Sequence,
    Free,
}

/// Whether cloud-init would take it.
pub(super) fn check(bytes: &[u8]) -> Result<(), Problem> {
    if bytes.starts_with(GZIP) {
        return Ok(());
    }
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first).to_ascii_lowercase();
    let row = FORMATS.iter().find(|(start, _)| first.starts_with(&start.to_ascii_lowercase()));
    let Some((start, body)) = row else {
        return Err(Problem {
            line: 1,
            message: "cloud-init would not know what this is".to_owned(),
            hint: "begin with `#cloud-config`, `#!`, `#include` or `## template: jinja`; an archive of several \
                   begins with `Content-Type: multipart/mixed`",
        });
    };
    if *body == Body::Free {
        return Ok(());
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Problem { line, message: format!("a `{start}` is text, and this is not"), hint: "write UTF-8" }
    })?;
    check_yaml(text, start, *body)
}

/// One document of the right kind.
fn check_yaml(text: &str, start: &str, body: Body) -> Result<(), Problem> {
    let problem = |line: usize, message: String| Problem {
        line,
        message,
        hint: "`cloud-init schema --config-file FILE` tells more, where it is installed",
    };
    let mut outline = Outline { body, documents: 0, depth: 0, is_key: true, keys: BTreeSet::new() };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            problem(error.marker().line(), format!("this `{start}` is not sound YAML here"))
        })?;
        let said = outline.see(&event, start);
        said.map_err(|message| problem(span.start.line(), message))?;
    }
    if outline.documents == 0 { Err(problem(1, format!("this `{start}` is empty"))) } else { Ok(()) }
}

/// What was seen of a document, without what is below the first level.
struct Outline {
    body: Body,
    documents: usize,
    /// Lists and mappings that are open.
    depth: usize,
    /// Whether a key comes next in the mapping that the document is.
    is_key: bool,
    keys: BTreeSet<String>,
}

impl Outline {
    /// Says what is wrong with the document from here on, which is called by its first line.
    fn see(&mut self, event: &Event<'_>, start: &str) -> Result<(), String> {
        match event {
            Event::DocumentStart(_) if self.documents > 0 => {
                return Err(format!("a `{start}` is one YAML document, and here begins another"));
            }
            Event::DocumentStart(_) => self.documents += 1,
            Event::MappingEnd | Event::SequenceEnd => self.depth -= 1,
            Event::MappingStart(..) => {
                self.node(Body::Mapping, None, start)?;
                self.depth += 1;
            }
            Event::SequenceStart(..) => {
                self.node(Body::Sequence, None, start)?;
                self.depth += 1;
            }
            Event::Scalar(text, ..) => self.node(Body::Free, Some(text), start)?,
            Event::Alias(_) => self.node(Body::Free, None, start)?,
            _ => {}
        }
        Ok(())
    }

    fn node(&mut self, kind: Body, text: Option<&str>, start: &str) -> Result<(), String> {
        if self.depth == 0 && kind != self.body {
            return Err(format!("a `{start}` is {}", name(self.body)));
        }
        if self.depth == 1 && self.body == Body::Mapping {
            // cloud-init takes the last one, and says nothing.
            if self.is_key && text.is_some_and(|key| !self.keys.insert(key.to_owned())) {
                return Err("this key was there before, and one of the two is lost".to_owned());
            }
            self.is_key = !self.is_key;
        }
        Ok(())
    }
}

fn name(body: Body) -> &'static str {
    match body {
        Body::Mapping => "a mapping, of lines as `key: value`",
        Body::Sequence => "a list, of lines as `- item`",
        Body::Free => "anything",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn complaint(text: &str) -> (usize, String) {
        let problem = check(text.as_bytes()).unwrap_err();
        (problem.line, problem.message)
    }

    #[test]
    fn every_format_of_cloud_init_is_taken() {
        let texts = [
            "#cloud-config\npackages: [vim]\nusers:\n  - name: alice\n    groups: [sudo]\n",
            "#cloud-config\r\n{}\r\n",
            "#cloud-config-archive\n- type: text/cloud-config\n  content: |\n    a: b\n",
            "#!/bin/sh\necho hello\n",
            "#include\nhttps://example.org/more\n",
            "## template: jinja\n#cloud-config\nhostname: {{ v1.instance_id }}\n",
            "Content-Type: multipart/mixed; boundary=\"x\"\nMIME-Version: 1.0\n",
            "mime-version: 1.0\n",
        ];
        for text in texts {
            assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
        }
        assert_eq!(check(&[0x1f, 0x8b, 8, 0]), Ok(()));
    }

    #[test]
    fn what_cloud_init_would_ignore_is_refused_with_its_line_and_without_its_content() {
        assert_eq!(complaint("packages: [vim]\n"), (1, "cloud-init would not know what this is".into()));
        assert_eq!(complaint("").0, 1);
        let not_sound = "this `#cloud-config` is not sound YAML here";
        assert_eq!(complaint("#cloud-config\na: b\n c: d: e\n"), (3, not_sound.into()));
        assert_eq!(complaint("#cloud-config\npassword: \"hunter2\nx: y\n").1, not_sound);
        let mapping = "a `#cloud-config` is a mapping, of lines as `key: value`";
        assert_eq!(complaint("#cloud-config\n- hunter2\n"), (2, mapping.into()));
        assert_eq!(complaint("#cloud-config\nhunter2\n"), (2, mapping.into()));
        assert_eq!(complaint("#cloud-config-archive\na: b\n").0, 2);
        assert_eq!(complaint("#cloud-config\n"), (1, "this `#cloud-config` is empty".into()));
        assert_eq!(complaint("#cloud-config\na: 1\nb: {a: 2}\na: 3\n").0, 4);
        assert_eq!(complaint("#cloud-config\na: 1\n---\nb: 2\n").0, 3);
        assert_eq!(check(b"#cloud-config\na: \xff\n").unwrap_err().line, 2);
    }

    proptest! {
        #[test]
        fn no_document_makes_it_panic(text in "[-a:{}\\[\\]&*!|>'\"#%@? \t\n0é]{0,200}") {
            let _ = check(format!("#cloud-config\n{text}").as_bytes());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = check(&bytes);
            let _ = check(&[b"#cloud-config\n", &bytes[..]].concat());
        }
    }

    #[test]
    fn deep_nesting_ends() {
        for open in ["[", "{a: ", "- "] {
            let _ = check(format!("#cloud-config\na: {}", open.repeat(20_000)).as_bytes());
        }
    }
}
