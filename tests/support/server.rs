//! An HTTP server that behaves as badly as a test wants.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request as far as tests look at it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Path, from the first slash on.
    pub path: String,
    /// Where the range that is asked for starts.
    pub range: Option<usize>,
    /// The version that the range must be of.
    pub if_range: Option<String>,
    /// How often this path was asked for before.
    pub count: usize,
}

/// What the server sends.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
    /// How many bytes at the end come one by one.
    pub dripping: usize,
    /// How long the server is silent in front of each of those.
    pub silence: Duration,
}

type Route = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

/// Listens on a port of its own until the test ends.
#[derive(Clone)]
pub struct Server {
    pub url: String,
    routes: Arc<Mutex<BTreeMap<String, Route>>>,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Answer { status, headers: Vec::new(), body: Vec::new(), dripping: 0, silence: Duration::ZERO }
    }

    /// All of `body`, with its length.
    pub fn of(body: &[u8]) -> Self {
        Answer::announcing(body.len(), body)
    }

    /// `body`, with a length that may be another.
    pub fn announcing(length: usize, body: &[u8]) -> Self {
        let headers = vec![format!("Content-Length: {length}")];
        Answer { headers, body: body.to_vec(), ..Answer::status(200) }
    }

    /// `body`, which ends when the connection does.
    pub fn without_length(body: &[u8]) -> Self {
        Answer { body: body.to_vec(), ..Answer::status(200) }
    }

    pub fn redirect(to: &str) -> Self {
        Answer { headers: vec![format!("Location: {to}"), "Content-Length: 0".into()], ..Answer::status(302) }
    }

    /// What a sound server with ranges answers for the file `body`.
    pub fn ranged(request: &Request, body: &[u8]) -> Self {
        let Some(start) = request.range else { return Answer::of(body) };
        if start >= body.len() {
            return Answer::status(416);
        }
        let mut answer = Answer { status: 206, ..Answer::of(&body[start..]) };
        answer.headers.push(format!("Content-Range: bytes {start}-{}/{}", body.len() - 1, body.len()));
        answer
    }

    /// The same, of this version.
    pub fn tagged(mut self, tag: &str) -> Self {
        self.headers.push(format!("ETag: {tag}"));
        self
    }

    /// The same, with the last `count` bytes slowly one by one.
    pub fn dripping(mut self, count: usize, silence: Duration) -> Self {
        (self.dripping, self.silence) = (count, silence);
        self
    }

    /// The same, cut off after `length` bytes of what should come.
    pub fn cut(mut self, length: usize) -> Self {
        self.body.truncate(length);
        self
    }
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Server { url, routes: Arc::default(), asked: Arc::default() };
        let serving = server.clone();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (serving, connection) = (serving.clone(), connection.unwrap());
                // A client that has gone is no fault of the server.
                thread::spawn(move || serving.serve(connection).ok());
            }
        });
        server
    }

    /// Answers requests for `path` with what `route` says.
    pub fn route(&self, path: &str, route: impl Fn(&Request) -> Answer + Send + Sync + 'static) {
        self.routes.lock().unwrap().insert(path.to_owned(), Arc::new(route));
    }

    /// Serves `body` at `path`, as a sound server does.
    pub fn file(&self, path: &str, body: Vec<u8>) {
        self.route(path, move |request| Answer::ranged(request, &body));
    }

    /// What it serves at `path`, to be served with a fault.
    pub fn get(&self, path: &str) -> Vec<u8> {
        let request = Request { path: path.to_owned(), range: None, if_range: None, count: 0 };
        let route = self.routes.lock().unwrap()[path].clone();
        route(&request).body
    }

    /// Has nothing any more.
    pub fn clear(&self) {
        self.routes.lock().unwrap().clear();
    }

    /// The requests so far whose path contains `part`.
    pub fn asked(&self, part: &str) -> Vec<Request> {
        self.asked.lock().unwrap().iter().filter(|request| request.path.contains(part)).cloned().collect()
    }

    fn serve(&self, connection: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(connection);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut range, mut if_range) = (None, None);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                range = value.split('-').next().and_then(|start| start.parse().ok());
            }
            if line.to_ascii_lowercase().starts_with("if-range: ") {
                if_range = Some(line[10..].trim().to_owned());
            }
        }
        let answer = self.answer(Request { path, range, if_range, count: 0 });
        let mut connection = reader.into_inner();
        write!(connection, "HTTP/1.1 {} Whatever\r\nConnection: close\r\n", answer.status)?;
        for header in &answer.headers {
            write!(connection, "{header}\r\n")?;
        }
        write!(connection, "\r\n")?;
        let (body, drops) = answer.body.split_at(answer.body.len() - answer.dripping);
        connection.write_all(body)?;
        for drop in drops {
            thread::sleep(answer.silence);
            connection.write_all(&[*drop])?;
        }
        Ok(())
    }

    fn answer(&self, mut request: Request) -> Answer {
        let mut asked = self.asked.lock().unwrap();
        request.count = asked.iter().filter(|other| other.path == request.path).count();
        asked.push(request.clone());
        drop(asked);
        let route = self.routes.lock().unwrap().get(&request.path).cloned();
        route.map_or_else(|| Answer::status(404), |route| route(&request))
    }
}
