//! The serial console as lines of plain text.
//!
//! Firmware, GRUB and kernel write for a terminal: colours, cursor moves, carriage returns. What
//! is left here is what a person would read. A move of the cursor ends a line like a newline,
//! since firmware paints menus that way.

/// Longest line kept, in bytes; a longer one is broken there.
const LONGEST: usize = 4096;

const ESC: u8 = 0x1b;

/// Cuts a stream of console bytes into lines, wherever the reads happened to cut it.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    state: State,
}

/// Where in an escape sequence (ECMA-48) the last byte left us.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In plain text.
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// In a control sequence, `ESC [ parameters final`.
    Control,
    /// In a string such as a window title, which BEL or `ESC \` ends.
    String,
}

impl Lines {
    /// Takes the next bytes, and returns the lines that they complete, empty ones left out.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        bytes.iter().filter_map(|byte| self.step(*byte)).collect()
    }

    /// The text after the last complete line: a prompt, when nothing follows.
    pub(super) fn unfinished(&self) -> String {
        String::from_utf8_lossy(&self.line).into_owned()
    }

    /// Ends the line that has begun, if there is one.
    pub(super) fn flush(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        (!text.is_empty()).then_some(text)
    }

    fn step(&mut self, byte: u8) -> Option<String> {
        match (self.state, byte) {
            (State::Text, ESC) => self.state = State::Escape,
            (State::Text, _) => return self.text(byte),
            (State::Escape, b'[') => self.state = State::Control,
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => self.state = State::String,
            (State::Escape, 0x20..=0x2f) => {}
            (State::Escape, _) => self.state = State::Text,
            (State::Control, 0x20..=0x3f) => {}
            (State::Control, _) => return self.control(byte),
            (State::String, 0x07) => self.state = State::Text,
            (State::String, ESC) => self.state = State::Escape,
            (State::String, _) => {}
        }
        None
    }

    fn text(&mut self, byte: u8) -> Option<String> {
        match byte {
            b'\n' | b'\r' => return self.flush(),
            b'\t' => self.line.push(b' '),
            0x08 => drop(self.line.pop()),
            0..0x20 | 0x7f => {}
            _ => self.line.push(byte),
        }
        if self.line.len() >= LONGEST { self.flush() } else { None }
    }

    /// Ends a control sequence; one that moves the cursor or erases also ends the line.
    fn control(&mut self, last: u8) -> Option<String> {
        self.state = State::Text;
        if matches!(last, b'A'..=b'H' | b'J' | b'd' | b'f') { self.flush() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn colours_and_carriage_returns_are_taken_away() {
        let mut lines = Lines::default();
        assert_eq!(lines.feed(b"\x1b[1m\x1b[33mpress\x1b[0m ESC\r\nnext\r\n"), ["press ESC", "next"]);
    }

    #[test]
    fn a_cursor_move_ends_a_line() {
        let mut lines = Lines::default();
        assert_eq!(lines.feed(b"\x1b[2J\x1b[01;01Hmenu\x1b[07;01Hcount"), ["menu"]);
        assert_eq!(lines.unfinished(), "count");
    }

    #[test]
    fn a_window_title_is_not_text() {
        let mut lines = Lines::default();
        assert_eq!(lines.feed(b"a\x1b]0;title\x07b\x1b]0;title\x1b\\c\n"), ["abc"]);
    }

    #[test]
    fn a_prompt_is_there_before_its_line_ends() {
        let mut lines = Lines::default();
        assert!(lines.feed(b"kiosk login: ").is_empty());
        assert_eq!(lines.unfinished(), "kiosk login: ");
    }

    #[test]
    fn an_endless_line_is_broken() {
        let mut lines = Lines::default();
        let broken = lines.feed(&[b'x'; 3 * LONGEST]);
        assert_eq!(broken.iter().map(String::len).collect::<Vec<_>>(), [LONGEST; 3]);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_where_reads_cut(bytes: Vec<u8>, cut in 0usize..64) {
            let cut = cut.min(bytes.len());
            let mut whole = Lines::default();
            let mut parts = Lines::default();
            let mut got = parts.feed(&bytes[..cut]);
            got.extend(parts.feed(&bytes[cut..]));
            prop_assert_eq!(whole.feed(&bytes), got);
            prop_assert_eq!(whole.unfinished(), parts.unfinished());
        }

        #[test]
        fn no_control_character_is_left(bytes: Vec<u8>) {
            let mut lines = Lines::default();
            for line in lines.feed(&bytes) {
                prop_assert!(line.chars().all(|c| !c.is_ascii_control()));
            }
        }
    }
}
