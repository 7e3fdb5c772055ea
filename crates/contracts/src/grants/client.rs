//! Just enough of an HTTP client: what is sent is exactly what was said, and nothing is added that a grant might bind.

use std::fmt::{self, Write as _};

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    /// The headers, a line each.
    head: String,
    /// The body.
    pub(super) body: Vec<u8>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "{} {body}", self.status)
    }
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The text of the first XML element of this name.
    pub(super) fn element(&self, name: &str) -> Option<&str> {
        let text = str::from_utf8(&self.body).unwrap();
        let (_, behind) = text.split_once(&format!("<{name}>"))?;
        behind.split_once(&format!("</{name}>")).map(|(it, _)| it)
    }

    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Sends a request on a connection of its own. `Host` is added, and `Content-Length` unless it is said.
pub(super) async fn send(
    method: &Method,
    url: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Answer {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, target) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    let has_length = headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    if !has_length {
        write!(head, "content-length: {}\r\n", body.len()).unwrap();
    }
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head.push_str("\r\n");
    let mut connection = TcpStream::connect(host).await.unwrap();
    connection.write_all(head.as_bytes()).await.unwrap();
    // It may be refused before all of it is there.
    drop(connection.write_all(body).await);
    let mut answer = Vec::new();
    let read = connection.read_to_end(&mut answer).await;
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("{method} {host}: no answer: {read:?}"));
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head,
        // A list may come in chunks, which are as long each time, so that lists can be compared as they are.
        body: answer[end + 4..].to_vec(),
    }
}
