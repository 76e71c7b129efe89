//! QMP, the control channel of QEMU: lines of JSON both ways (QEMU's `qmp-spec`).

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use serde::Deserialize;

/// Longest line that is kept, in bytes. QEMU's own are far shorter.
const LONGEST: usize = 1 << 20;

/// Something that QEMU says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// The machine has begun to run.
    Resumed,
    /// The machine was reset, and waits for [`Command::Continue`].
    Reset,
    /// The machine has stopped, for the reason given (`guest-shutdown`, `guest-reset`, ...).
    Shutdown(String),
    /// The guest told of its panic through a pvpanic device.
    Panicked,
    /// The watchdog expired.
    Watchdog,
    /// A command was refused.
    Refused(String),
}

/// Something to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Ends the greeting; no event is sent before it.
    Negotiate,
    /// Runs the machine until it resets or switches itself off; either stops it.
    Continue,
    /// Resets the machine that has stopped.
    Reset,
    /// Writes caches back and ends QEMU.
    Quit,
}

/// The client's end of the channel. It never blocks.
#[derive(Debug)]
pub(super) struct Qmp {
    stream: UnixStream,
    pending: Vec<u8>,
}

#[derive(Deserialize)]
struct Message {
    event: Option<String>,
    #[serde(default)]
    data: Data,
    error: Option<Refusal>,
}

#[derive(Default, Deserialize)]
struct Data {
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    desc: String,
}

impl Command {
    /// One command a line. While a reset is to stop the machine, it would stop ours as well.
    fn text(self) -> &'static str {
        match self {
            Command::Negotiate => "{\"execute\":\"qmp_capabilities\"}\n",
            Command::Continue => concat!(
                "{\"execute\":\"set-action\",\"arguments\":{\"reboot\":\"shutdown\",\"shutdown\":\"pause\"}}\n",
                "{\"execute\":\"cont\"}\n",
            ),
            Command::Reset => concat!(
                "{\"execute\":\"set-action\",\"arguments\":{\"reboot\":\"reset\"}}\n",
                "{\"execute\":\"system_reset\"}\n",
            ),
            Command::Quit => "{\"execute\":\"quit\"}\n",
        }
    }
}

impl Notice {
    /// Reads one line; `None` for what nobody here waits for, and for what is not QMP.
    fn parse(line: &[u8]) -> Option<Notice> {
        let message: Message = serde_json::from_slice(line).ok()?;
        if let Some(refusal) = message.error {
            return Some(Notice::Refused(refusal.desc));
        }
        match message.event?.as_str() {
            "RESUME" => Some(Notice::Resumed),
            "RESET" => Some(Notice::Reset),
            "SHUTDOWN" => Some(Notice::Shutdown(message.data.reason.unwrap_or_default())),
            "GUEST_PANICKED" => Some(Notice::Panicked),
            "WATCHDOG" => Some(Notice::Watchdog),
            _ => None,
        }
    }
}

impl Qmp {
    /// The client on one end of a connected socket.
    ///
    /// # Errors
    /// When the socket cannot be made non-blocking.
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Qmp { stream, pending: Vec::new() })
    }

    /// Sends a command. QEMU carries them out in their order, and need not have started yet.
    ///
    /// # Errors
    /// When QEMU has closed the channel.
    pub(super) fn send(&mut self, command: Command) -> io::Result<()> {
        self.stream.write_all(command.text().as_bytes())
    }

    /// What QEMU has said since the last call. Nothing after it has closed the channel.
    ///
    /// # Errors
    /// When the channel cannot be read.
    pub(super) fn poll(&mut self) -> io::Result<Vec<Notice>> {
        self.fill()?;
        let Some(end) = self.pending.iter().rposition(|byte| *byte == b'\n') else {
            if self.pending.len() > LONGEST {
                self.pending.clear();
            }
            return Ok(Vec::new());
        };
        let whole: Vec<u8> = self.pending.drain(..=end).collect();
        Ok(whole.split(|byte| *byte == b'\n').filter_map(Notice::parse).collect())
    }

    /// Reads what is there, `LONGEST` bytes at most in one go.
    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        while self.pending.len() <= LONGEST {
            match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => self.pending.extend_from_slice(&buffer[..count]),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    // QEMU may end with unread commands in its socket, which we see as a reset.
                    ErrorKind::WouldBlock | ErrorKind::ConnectionReset => break,
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn pair() -> (Qmp, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        (Qmp::new(ours).expect("a client"), theirs)
    }

    const GREETING: &str =
        r#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": ["oob"]}}"#;

    #[test]
    fn events_are_read_from_the_stream_of_replies() {
        let (mut qmp, mut qemu) = pair();
        let said = [
            GREETING,
            r#"{"return": {}}"#,
            r#"{"timestamp": {"seconds": 1, "microseconds": 1}, "event": "RESUME"}"#,
            r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RESET", "data": {"guest": true, "reason": "guest-reset"}}"#,
            r#"{"event": "WATCHDOG", "data": {"action": "reset"}}"#,
            r#"{"event": "GUEST_PANICKED", "data": {"action": "pause"}}"#,
            r#"{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}"#,
        ];
        write!(qemu, "{}\r\n", said.join("\r\n")).expect("room in the socket");
        let expected = [
            Notice::Resumed,
            Notice::Reset,
            Notice::Watchdog,
            Notice::Panicked,
            Notice::Shutdown("guest-shutdown".into()),
        ];
        assert_eq!(qmp.poll().expect("readable"), expected);
        assert_eq!(qmp.poll().expect("readable"), []);
    }

    #[test]
    fn a_line_in_two_halves_is_one_notice() {
        let (mut qmp, mut qemu) = pair();
        write!(qemu, r#"{{"event": "RE"#).expect("room in the socket");
        assert_eq!(qmp.poll().expect("readable"), []);
        writeln!(qemu, r#"SET"}}"#).expect("room in the socket");
        assert_eq!(qmp.poll().expect("readable"), [Notice::Reset]);
    }

    #[test]
    fn a_refused_command_is_told_with_its_reason() {
        let (mut qmp, mut qemu) = pair();
        writeln!(qemu, r#"{{"error": {{"class": "GenericError", "desc": "no such thing"}}}}"#).expect("room");
        assert_eq!(qmp.poll().expect("readable"), [Notice::Refused("no such thing".into())]);
    }

    #[test]
    fn rubbish_and_the_end_of_the_channel_are_silence() {
        let (mut qmp, mut qemu) = pair();
        qemu.write_all(b"\n{}\n[1]\n\xff\xfe\n{\"event\": 3}\n{\"event\":\"RESET\"}").expect("room");
        drop(qemu);
        assert_eq!(qmp.poll().expect("readable"), []);
        assert_eq!(qmp.poll().expect("readable"), []);
    }

    #[test]
    fn an_endless_line_does_not_fill_the_memory() {
        let (mut qmp, mut qemu) = pair();
        let writer = std::thread::spawn(move || qemu.write_all(&vec![b'x'; 4 * LONGEST]));
        while !writer.is_finished() {
            assert_eq!(qmp.poll().expect("readable"), []);
            assert!(qmp.pending.len() <= LONGEST + 4096);
        }
    }

    #[test]
    fn commands_are_lines_of_json() {
        let (mut qmp, mut qemu) = pair();
        for command in [Command::Negotiate, Command::Continue, Command::Reset, Command::Quit] {
            qmp.send(command).expect("room in the socket");
        }
        drop(qmp);
        let mut text = String::new();
        qemu.read_to_string(&mut text).expect("readable");
        let names: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["execute"].take())
            .collect();
        assert_eq!(names, ["qmp_capabilities", "set-action", "cont", "set-action", "system_reset", "quit"]);
    }
}
