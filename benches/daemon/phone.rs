//! A customer's phone over plain sockets: pages, forms and the live stream. Keeps no cookies, follows only its own path.

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use std::io::{BufRead, BufReader, ErrorKind, Read, Result, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longest wait for anything at all.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the portal says about when to open a live stream again.
const RETRY: Duration = Duration::from_secs(1);

/// Forms that were sent again because the connection had closed without a word; what they ask for may be done twice.
pub(crate) static SENT_AGAIN: AtomicU64 = AtomicU64::new(0);

/// One connection, opened anew when the other side has closed it.
pub(crate) struct Wire {
    from: Ipv4Addr,
    to: SocketAddr,
    open: Option<BufReader<TcpStream>>,
}

/// An answer, whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) text: String,
}

impl Wire {
    pub(crate) fn new(from: Ipv4Addr, to: SocketAddr) -> Wire {
        Wire { from, to, open: None }
    }

    fn connect(&self) -> BufReader<TcpStream> {
        let fd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&fd, &SocketAddr::new(IpAddr::V4(self.from), 0)).unwrap();
        connect(&fd, &self.to).unwrap();
        let stream = TcpStream::from(fd);
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        BufReader::with_capacity(4_096, stream)
    }

    /// Sends a request; again if the connection had been closed meanwhile. Status and headers of the answer.
    fn begin(&mut self, method: &str, path: &str, body: &str) -> (u16, Vec<(String, String)>) {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAccept-Language: en\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.to,
            body.len()
        );
        for _ in 0..2 {
            let mut wire = self.open.take().unwrap_or_else(|| self.connect());
            let mut line = String::new();
            if wire.get_mut().write_all(request.as_bytes()).is_err() || wire.read_line(&mut line).unwrap_or(0) == 0 {
                SENT_AGAIN.fetch_add(u64::from(method == "POST"), Ordering::Relaxed);
                continue;
            }
            let status = line.split(' ').nth(1).unwrap().parse().unwrap();
            let mut headers = Vec::new();
            loop {
                let mut line = String::new();
                wire.read_line(&mut line).unwrap();
                let Some((name, value)) = line.trim_end().split_once(": ") else { break };
                headers.push((name.to_ascii_lowercase(), value.to_owned()));
            }
            self.open = Some(wire);
            return (status, headers);
        }
        panic!("{} answers nothing to {method}", self.to);
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let (status, headers) = self.begin(method, path, body);
        let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        let length: usize = header("content-length").map_or(0, |n| n.parse().unwrap());
        let mut text = vec![0; length];
        self.open.as_mut().unwrap().read_exact(&mut text).unwrap();
        if header("connection").is_some_and(|c| c == "close") {
            self.open = None;
        }
        Answer { status, location: header("location"), text: String::from_utf8(text).unwrap() }
    }

    /// The next piece of a chunked answer; `None` at its end. An error: the connection was closed within it.
    fn piece(&mut self) -> Result<Option<String>> {
        let wire = self.open.as_mut().unwrap();
        let mut line = String::new();
        if wire.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let length = usize::from_str_radix(line.trim_end(), 16).unwrap();
        let mut piece = vec![0; length + 2];
        wire.read_exact(&mut piece)?;
        piece.truncate(length);
        Ok((length > 0).then(|| String::from_utf8(piece).unwrap()))
    }
}

/// A phone in the portal, past its log-in.
pub(crate) struct Phone {
    pages: Wire,
    live: Wire,
    /// Its visit's own address, with a slash at the end.
    pub(crate) path: String,
    /// The page that is open.
    pub(crate) page: String,
}

impl Phone {
    /// Logs in, at this till if there is one.
    pub(crate) fn log_in(portal: SocketAddr, from: Ipv4Addr, till: Option<u16>) -> Phone {
        let mut pages = Wire::new(from, portal);
        let at = till.map_or_else(String::new, |till| format!("till={till}"));
        let start = pages.ask("GET", &format!("/?{at}"), "").text;
        let form = hidden(&start, "form");
        let answer = pages.ask("POST", "/login", &format!("form={form}&{at}"));
        assert_eq!(answer.status, 303, "the log-in is refused: {}", answer.text);
        let path = answer.location.unwrap();
        let path = path.strip_prefix(&format!("http://{portal}")).unwrap_or(&path).to_owned();
        assert!(path.starts_with("/s/"), "the log-in leads to no visit");
        Phone { pages, live: Wire::new(from, portal), path, page: String::new() }
    }

    /// Loads its page.
    pub(crate) fn load(&mut self) {
        let answer = self.pages.ask("GET", &self.path, "");
        assert_eq!(answer.status, 200, "the visit's page: {:?} {}", answer.location, answer.text);
        self.page = answer.text;
    }

    /// Loads its page again at every change until `wanted` stands in it.
    pub(crate) fn until(&mut self, wanted: &str) {
        let start = Instant::now();
        self.load();
        while !self.page.contains(wanted) {
            assert!(start.elapsed() < PATIENCE, "the phone waits for {wanted} in vain:\n{}", self.page);
            self.listen();
            self.changed();
            self.load();
        }
    }

    /// Follows the page's way to the checkout as far as the platform's address; its token.
    pub(crate) fn checkout(&mut self) -> String {
        let answer = self.pages.ask("GET", &format!("{}checkout", self.path), "");
        assert_eq!(answer.status, 303, "no way to the checkout: {}", answer.text);
        answer.location.unwrap().rsplit('/').next().unwrap().to_owned()
    }

    /// Sends the form of this name, with what it hides and `more`.
    pub(crate) fn send(&mut self, act: &str, more: &str) {
        let action = format!("action=\"{}{act}\"", self.path);
        let form = self.page.split(&action).nth(1).unwrap_or_else(|| panic!("no form {act}:\n{}", self.page));
        let form = form.split("</form>").next().unwrap();
        let fields =
            ["form", "sale", "minor", "currency"].map(|name| match form.contains(&format!("name=\"{name}\"")) {
                true => format!("{name}={}&", hidden(form, name)),
                false => String::new(),
            });
        let answer = self.pages.ask("POST", &format!("{}{act}", self.path), &(fields.concat() + more));
        assert_eq!(answer.status, 303, "{act} is refused: {}", answer.text);
    }

    /// Opens the live stream for the page that is open, on the connection that the page came by, as browsers do.
    pub(crate) fn listen(&mut self) {
        self.live.open = self.live.open.take().or_else(|| self.pages.open.take());
        let path = self.page.split("data-live=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&");
        let (status, _) = self.live.begin("GET", &path, "");
        assert_eq!(status, 200, "no live stream");
        assert!(self.live.piece().unwrap().unwrap().starts_with("retry"));
    }

    /// Waits for the word that the page has changed. When it came. A stream that was closed is opened again after the time
    /// that the portal asks for, as browsers do.
    pub(crate) fn changed(&mut self) -> Instant {
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < PATIENCE, "the phone hears of no change:\n{}", self.page);
            let piece = match self.live.piece() {
                Ok(piece) => piece.expect("the live stream ended"),
                Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                    self.live.open = None;
                    sleep(RETRY);
                    self.listen();
                    continue;
                }
                Err(error) => panic!("the phone hears of no change: {error}:\n{}", self.page),
            };
            let at = Instant::now();
            if piece.starts_with("event") {
                while self.live.piece().unwrap().is_some() {}
                return at;
            }
        }
    }
}

/// What the page's form hides under this name.
pub(crate) fn hidden(text: &str, name: &str) -> String {
    let from =
        text.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("no {name} in\n{text}"));
    from.split('"').next().unwrap().to_owned()
}
