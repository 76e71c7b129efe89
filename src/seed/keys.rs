//! Public keys of SSH (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"; RFC 4253, 6.6).
//!
//! ```text
//!   ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI... alice@desk
//!   type        base64 of [length type][length field]...   comment
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Problem;

/// Types that OpenSSH takes as of version 10, and how many fields follow the type in the key.
const TYPES: [(&str, usize); 7] = [
    ("ssh-ed25519", 1),
    ("ssh-rsa", 2),
    ("ecdsa-sha2-nistp256", 2),
    ("ecdsa-sha2-nistp384", 2),
    ("ecdsa-sha2-nistp521", 2),
    ("sk-ssh-ed25519@openssh.com", 2),
    ("sk-ecdsa-sha2-nistp256@openssh.com", 3),
];

/// What private keys look like, in the formats of OpenSSH, OpenSSL and PuTTY.
const PRIVATE: [&str; 3] = ["PRIVATE KEY", "PuTTY-User-Key-File", "openssh-key-v1"];

/// How private keys in OpenSSH's own format begin, in base64: `openssh-key-v1`.
const PRIVATE_BASE64: &str = "b3BlbnNzaC1rZXktdjE";

/// Why a line is no public key. None of them tells what the line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Private,
    Type,
    Damaged,
    Comment,
}

impl Why {
    pub(super) fn in_line(self, line: usize) -> Problem {
        let (message, hint) = match self {
            Why::Private => (
                "this is a private key, which belongs on no other machine",
                "give the public one, whose file ends in `.pub`; a private key that others may have seen must \
                 be replaced",
            ),
            Why::Type => (
                "this is not a public key of a type that OpenSSH takes",
                "it begins with its type, as in `ssh-ed25519 AAAA... name`, without options before it",
            ),
            Why::Damaged => {
                ("this public key is damaged", "copy all of the line again, from the `.pub` file")
            }
            Why::Comment => ("the name behind this public key is not printable", "leave it out"),
        };
        Problem { line, message: message.to_owned(), hint }
    }
}

/// All keys of a file, which may have comments and empty lines.
pub(super) fn parse_file(text: &str) -> Result<Vec<String>, Problem> {
    if is_private(text) {
        return Err(Why::Private.in_line(1));
    }
    let mut keys = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            keys.push(parse_line(line).map_err(|why| why.in_line(number))?);
        }
    }
    if keys.is_empty() { Err(Why::Type.in_line(1)) } else { Ok(keys) }
}

/// One key, with single spaces between its parts.
pub(super) fn parse_line(line: &str) -> Result<String, Why> {
    if is_private(line) {
        return Err(Why::Private);
    }
    if line.trim().chars().any(char::is_control) {
        return Err(Why::Comment);
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let [kind, encoded, ..] = words[..] else { return Err(Why::Type) };
    let (_, fields) = TYPES.iter().find(|(known, _)| *known == kind).ok_or(Why::Type)?;
    let bytes = STANDARD.decode(encoded).map_err(|_| Why::Damaged)?;
    let strings = strings(&bytes).ok_or(Why::Damaged)?;
    let (inner, rest) = strings.split_first().ok_or(Why::Damaged)?;
    let is_sound = *inner == kind.as_bytes()
        && rest.len() == *fields
        && rest.iter().all(|field| !field.is_empty())
        && (kind != "ssh-ed25519" || rest[0].len() == 32);
    if is_sound { Ok(words.join(" ")) } else { Err(Why::Damaged) }
}

fn is_private(text: &str) -> bool {
    PRIVATE.iter().any(|mark| text.contains(mark)) || text.contains(PRIVATE_BASE64)
}

/// Strings behind each other, each after its length (RFC 4251, 5).
fn strings(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut strings = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (string, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        strings.push(string);
        bytes = rest;
    }
    Some(strings)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Has the form of a key; nobody has the private half.
    pub(in crate::seed) const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFKk6d4FDSe5Bp8OyVnQfEeYtYIl0FyRHEyJmMqdcs4L alice@desk";

    fn encoded(kind: &str, fields: &[&[u8]]) -> String {
        let all = [&[kind.as_bytes()], fields].concat();
        let bytes: Vec<u8> =
            all.iter().flat_map(|field| [&(field.len() as u32).to_be_bytes()[..], field].concat()).collect();
        format!("{kind} {}", STANDARD.encode(bytes))
    }

    #[test]
    fn keys_of_every_type_are_taken_and_their_spaces_made_single() {
        assert_eq!(parse_line(&ED25519.replace(' ', "  ")).unwrap(), ED25519);
        for (kind, fields) in TYPES {
            let field: &[u8] = &[7; 32];
            let key = encoded(kind, &vec![field; fields]);
            assert_eq!(parse_line(&key).unwrap(), key);
            let more = encoded(kind, &vec![field; fields + 1]);
            assert_eq!(parse_line(&more), Err(Why::Damaged));
        }
    }

    #[test]
    fn keys_that_were_cut_or_changed_are_refused() {
        let (kind, rest) = ED25519.split_once(' ').unwrap();
        assert_eq!(parse_line(&ED25519[..60]), Err(Why::Damaged));
        assert_eq!(parse_line(&format!("ssh-rsa {rest}")), Err(Why::Damaged));
        assert_eq!(parse_line(&encoded(kind, &[&[1; 31]])), Err(Why::Damaged));
        for line in ["", kind, "ssh-dss AAAA", &format!("command=\"ls\" {ED25519}")] {
            assert_eq!(parse_line(line), Err(Why::Type), "{line}");
        }
        assert_eq!(parse_line(&format!("{ED25519}\u{1b}[2J")), Err(Why::Comment));
    }

    #[test]
    fn a_file_may_have_comments_and_a_wrong_line_is_told() {
        let text = format!("# keys\r\n\r\n{ED25519}\r\n{ED25519} again\n");
        assert_eq!(parse_file(&text).unwrap().len(), 2);
        assert_eq!(parse_file(&format!("{text}oops\n")), Err(Why::Type.in_line(5)));
        assert_eq!(parse_file("# nothing\n"), Err(Why::Type.in_line(1)));
    }

    #[test]
    fn a_private_key_is_refused_and_not_repeated() {
        let body = format!("{PRIVATE_BASE64}AAAAABG5vbmUAAAAE");
        let texts = [
            format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n"),
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n".to_owned(),
            "PuTTY-User-Key-File-3: ssh-ed25519\n".to_owned(),
            body,
        ];
        for text in texts {
            let problem = parse_file(&text).unwrap_err();
            assert_eq!(problem, Why::Private.in_line(1));
            assert_eq!(parse_line(&text.replace('\n', " ")), Err(Why::Private));
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic_and_what_is_taken_is_one_line(
            line in "(ssh-ed25519|ssh-rsa|x)? ?[A-Za-z0-9+/=\\PC]{0,120}( .*)?", cut in 0..90_usize
        ) {
            for line in [&line[..], ED25519.get(..cut).unwrap_or(ED25519)] {
                if let Ok(key) = parse_line(line) {
                    prop_assert!(key.lines().count() == 1 && parse_line(&key) == Ok(key.clone()));
                }
            }
        }
    }
}
