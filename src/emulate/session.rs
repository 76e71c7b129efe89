//! Watching a machine until something ends the run.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use super::chain::Chain;
use super::console::Lines;
use super::keyboard::Keyboard;
use super::qemu::Machine;
use super::qmp::{Command, Notice};
use super::timeline::{BootLog, Stage, Timeline, is_dead_end};
use super::{Boot, BootError, Ended};
use crate::interrupt;

/// How long a silent console is waited for before anything else is looked at.
const TICK: Duration = Duration::from_millis(20);

/// How long the console is read, if it does not fall silent before, when an event waits behind it.
const SETTLE: Duration = Duration::from_millis(200);

/// One run of a machine.
pub(super) struct Session<'a> {
    boot: &'a Boot,
    /// Ends before the chain, whose disk it writes.
    machine: Machine,
    chain: Box<dyn Chain + 'a>,
    observer: &'a mut dyn FnMut(&[u8]),
    log: Option<File>,
    keyboard: Option<Keyboard>,
    started: Instant,
    lines: Lines,
    timeline: Timeline,
    resets: u32,
    /// What ended the run: the first thing that did.
    ended: Option<Ended>,
}

impl<'a> Session<'a> {
    /// Switches the machine on.
    pub(super) fn start(
        boot: &'a Boot,
        mut chain: Box<dyn Chain + 'a>,
        log: Option<File>,
        observer: &'a mut dyn FnMut(&[u8]),
    ) -> Result<Session<'a>, BootError> {
        let keyboard = boot.interactive.then(Keyboard::open).transpose().map_err(BootError::Keyboard)?;
        let mut session = Session {
            boot,
            machine: chain.start()?,
            chain,
            observer,
            log,
            keyboard,
            started: Instant::now(),
            lines: Lines::default(),
            timeline: Timeline::default(),
            resets: 0,
            ended: None,
        };
        session.begin_boot()?;
        Ok(session)
    }

    /// Turns to the machine that now runs.
    fn begin_boot(&mut self) -> Result<(), BootError> {
        let console = &self.machine.console;
        console.set_read_timeout(Some(TICK)).map_err(BootError::Channel)?;
        console.set_write_timeout(Some(TICK)).map_err(BootError::Channel)?;
        if let Some(choice) = self.chain.choice() {
            self.timeline.choose(self.now(), choice);
        }
        Ok(())
    }

    /// Watches until the run has ended.
    pub(super) fn watch(&mut self) -> Result<Ended, BootError> {
        loop {
            // Asked before the console is read to its end: what was printed before an event is
            // then also seen before it. A reset stops the machine, so nothing comes in between.
            let notices = self.machine.qmp.poll().map_err(BootError::Channel)?;
            let patience = if notices.is_empty() { Duration::ZERO } else { SETTLE };
            self.read_console(patience)?;
            self.machine.messages.poll();
            notices.into_iter().try_for_each(|notice| self.heed(notice))?;
            self.send_keys();
            self.watch_clock();
            if let Some(ended) = self.ended.take() {
                return Ok(ended);
            }
        }
    }

    /// Ends the machine. Returns its boots, and how long it ran.
    pub(super) fn finish(mut self) -> Result<(Vec<BootLog>, Duration), BootError> {
        let ran = self.started.elapsed();
        self.machine.stop().map_err(BootError::Channel)?;
        self.end_line();
        Ok((self.timeline.into_boots(), ran))
    }

    /// Reads the console once, or for as long as it has something and `patience` lasts.
    fn read_console(&mut self, patience: Duration) -> Result<(), BootError> {
        let until = Instant::now() + patience;
        let mut buffer = [0; 16 << 10];
        loop {
            match self.machine.console.read(&mut buffer) {
                Ok(0) => return self.closed(),
                Ok(count) => self.output(&buffer[..count])?,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => {
                        self.match_prompt();
                        return Ok(());
                    }
                    ErrorKind::Interrupted => {}
                    ErrorKind::ConnectionReset => return self.closed(),
                    _ => return Err(BootError::Channel(error)),
                },
            }
            if Instant::now() >= until {
                return Ok(());
            }
        }
    }

    fn output(&mut self, bytes: &[u8]) -> Result<(), BootError> {
        (self.observer)(bytes);
        if let Some(log) = &mut self.log {
            log.write_all(bytes).map_err(|source| self.boot.log_error(source))?;
        }
        let lines = self.lines.feed(bytes);
        lines.into_iter().for_each(|line| self.line(line));
        Ok(())
    }

    fn line(&mut self, line: String) {
        self.timeline.line(self.now(), &line);
        if self.is_wanted(&line) {
            self.end(Ended::Until { line });
        } else if is_dead_end(&line) {
            self.end(Ended::Panic { line });
        }
    }

    /// A prompt is a line without an end, and nothing comes after it. Only looked at when the
    /// console is silent, so half of a line is not taken for one.
    fn match_prompt(&mut self) {
        let line = self.lines.unfinished();
        if !line.is_empty() && self.is_wanted(&line) {
            self.end(Ended::Until { line });
        }
    }

    fn is_wanted(&self, line: &str) -> bool {
        self.boot.until.as_ref().is_some_and(|wanted| wanted.is_match(line))
    }

    fn heed(&mut self, notice: Notice) -> Result<(), BootError> {
        match notice {
            Notice::Resumed => self.machine.has_run = true,
            Notice::Reset => self.machine.send(Command::Continue),
            Notice::Panicked => self.timeline.note(self.now(), Stage::Panic, "told by the guest"),
            Notice::Watchdog => self.timeline.note(self.now(), Stage::Watchdog, "expired"),
            Notice::Refused(reason) => self.end(Ended::Died { reason }),
            Notice::Shutdown(reason) => match reason.as_str() {
                "guest-shutdown" => self.end(Ended::PowerOff),
                "guest-reset" => return self.reset(),
                _ => self.end(Ended::Died { reason }),
            },
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<(), BootError> {
        self.end_line();
        if self.boot.max_resets.is_some_and(|most| self.resets >= most) {
            self.end(Ended::Reset { resets: self.resets });
        }
        if self.ended.is_some() {
            return Ok(());
        }
        match self.chain.reset(&mut self.machine) {
            Err(BootError::Dark { reason, .. }) => {
                self.end(Ended::Dark { reason });
                Ok(())
            }
            Err(error) => Err(error),
            Ok(()) => {
                self.timeline.reset();
                self.resets += 1;
                self.begin_boot()
            }
        }
    }

    /// QEMU has closed the console, so it has ended: why?
    fn closed(&mut self) -> Result<(), BootError> {
        let status = self.machine.stop().map_err(BootError::Channel)?;
        let notices = self.machine.qmp.poll().map_err(BootError::Channel)?;
        // A reset of a machine that is gone would bring up another one.
        let told = notices.into_iter().filter(|notice| *notice != Notice::Shutdown("guest-reset".into()));
        told.collect::<Vec<_>>().into_iter().try_for_each(|notice| self.heed(notice))?;
        let messages = self.machine.messages.complaints();
        if !self.machine.has_run {
            return Err(self.boot.start_error(messages));
        }
        self.end(Ended::Died { reason: format!("{status}: {messages}") });
        Ok(())
    }

    fn send_keys(&mut self) {
        let keys = self.keyboard.as_ref().map(Keyboard::keys).unwrap_or_default();
        if !keys.is_empty() {
            // As on any serial line: what nobody reads is lost.
            let _ = self.machine.console.write_all(&keys);
        }
    }

    fn watch_clock(&mut self) {
        if interrupt::check().is_err() {
            self.end(Ended::Interrupted);
        }
        if self.boot.timeout.is_some_and(|timeout| self.started.elapsed() >= timeout) {
            self.end(Ended::Timeout);
        }
    }

    fn end_line(&mut self) {
        if let Some(line) = self.lines.flush() {
            self.line(line);
        }
    }

    fn end(&mut self, ended: Ended) {
        self.ended.get_or_insert(ended);
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}
