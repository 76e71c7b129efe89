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

/// One document, whose keys are words that come once.
fn check_yaml(text: &str, start: &str, body: Body) -> Result<(), Problem> {
    let problem = |line: usize, message: String| Problem {
        line,
        message,
        hint: "`cloud-init schema --config-file FILE` tells more, where it is installed",
    };
    let (mut open, mut documents, mut is_key) = (Vec::new(), 0, true);
    let mut keys = BTreeSet::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            problem(error.marker().line(), format!("this `{start}` is not sound YAML here"))
        })?;
        let line = span.start.line();
        documents += usize::from(matches!(event, Event::DocumentStart(_)));
        if documents > 1 {
            return Err(problem(line, format!("a `{start}` is one YAML document, and here begins another")));
        }
        let kind = match event {
            Event::MappingStart(..) => Body::Mapping,
            Event::SequenceStart(..) => Body::Sequence,
            _ => Body::Free,
        };
        let is_node = kind != Body::Free || matches!(event, Event::Scalar(..) | Event::Alias(_));
        if is_node && open.is_empty() && kind != body {
            return Err(problem(line, format!("a `{start}` is {}", name(body))));
        }
        if is_node && open.len() == 1 && body == Body::Mapping {
            if let (true, Event::Scalar(key, ..)) = (is_key, &event) {
                if !keys.insert(key.to_string()) {
                    return Err(problem(
                        line,
                        "this key was there before, and one of the two is lost".to_owned(),
                    ));
                }
            }
            is_key = !is_key;
        }
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => open.push(()),
            Event::MappingEnd | Event::SequenceEnd => drop(open.pop()),
            _ => {}
        }
    }
    if documents == 0 { Err(problem(1, format!("this `{start}` is empty"))) } else { Ok(()) }
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
