//! A farm of compilers, of one host, on this machine.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

const PATIENCE: Duration = Duration::from_secs(60);

/// A port that nobody listens at.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A host of a farm, on this machine. It ends when this is dropped.
pub struct Host {
    daemon: Child,
    pub port: u16,
}

impl Host {
    pub fn start() -> Self {
        let port = free_port();
        let mut command = Command::new("distccd");
        command.args("--daemon --no-detach --jobs 2 --enable-tcp-insecure --log-level critical".split(' '));
        command
            .args("--user nobody --allow 127.0.0.1 --listen 127.0.0.1 --port".split(' '))
            .arg(port.to_string());
        let daemon = command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let host = Host { daemon, port };
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(start.elapsed() < PATIENCE, "the farm does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        host
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        kill_process_group(Pid::from_child(&self.daemon), Signal::TERM).unwrap();
        self.daemon.wait().unwrap();
    }
}
