use bootenv::journal::{Journal, RecordError};

use super::disk::{Bytes, lines};

const VECTORS: &str = include_str!("../../vectors/journal.txt");

/// Puts a sector that consists of lines.
fn write(bytes: &mut Bytes, at: usize, text: &[&str]) {
    let (seal, text) = text.split_last().unwrap();
    let (text, seal) = (text.join("\n"), format!("{seal}\n"));
    let mut sector = [b'\n'; 512];
    sector[..text.len()].copy_from_slice(text.as_bytes());
    sector[512 - seal.len()..].copy_from_slice(seal.as_bytes());
    reach(bytes, at)[..512].copy_from_slice(&sector);
}

/// The bytes of a sector, which is there from now on.
fn reach(bytes: &mut Bytes, at: usize) -> &mut [u8] {
    let length = bytes.0.len().max(at + 512);
    bytes.0.resize(length, 0);
    &mut bytes.0[at..]
}

fn problem(problem: Option<RecordError>) -> String {
    match problem {
        None => "-".to_owned(),
        Some(RecordError::Empty) => "empty".to_owned(),
        Some(RecordError::Torn) => "torn".to_owned(),
        Some(RecordError::Line(name)) => format!("line {}", name.replace(' ', "-")),
    }
}

/// What a journal says, in the words of the vectors.
fn read(bytes: &[u8]) -> [String; 3] {
    let journal = Journal::decode(bytes);
    let same = |at: &usize| {
        journal.newest.is_some_and(|newest| bytes.get(*at..*at + 512) == Some(&newest.encode()[..]))
    };
    let newest = [0, 512].into_iter().find(same);
    assert_eq!(newest.is_some(), journal.newest.is_some(), "what is read is what would be written");
    let newest = newest.map_or("none".to_owned(), |at| at.to_string());
    let (number, at) = journal.next();
    let problems = journal.problems.map(problem).join(" ");
    [format!("newest {newest}"), format!("next {number} {at}"), format!("problems {problems}")]
}

#[test]
fn journals_say_what_the_vectors_say() {
    let (mut bytes, mut sector, mut case, mut asked) = (Bytes::default(), None, "", 0);
    let mut text: Vec<&str> = Vec::new();
    for line in lines(VECTORS) {
        if let Some(line) = line.strip_prefix("  ") {
            text.push(line);
            continue;
        }
        if let Some(at) = sector.take() {
            write(&mut bytes, at, &text);
            text.clear();
        }
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["case", ..] => (case, bytes) = (line, Bytes::default()),
            ["sector", at] => sector = Some(at.parse().unwrap()),
            ["sector", at, "zeroes"] => reach(&mut bytes, at.parse().unwrap()).fill(0),
            ["sector", at, "ones"] => reach(&mut bytes, at.parse().unwrap()).fill(0xff),
            ["newest" | "next" | "problems", ..] => {
                let said = read(&bytes.0);
                assert!(said.iter().any(|said| said == line), "{case}: {line}, not {said:?}");
                asked += 1;
            }
            _ => assert!(bytes.obey(line), "{case}: {line}"),
        }
    }
    assert!(asked > 60, "{asked}");
}
